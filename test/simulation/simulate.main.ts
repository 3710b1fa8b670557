/**
 * `npm run simulate -- [--seeds N] [--from S] [--seed S] [--ops N] [--database-every K] [--systematic] [--replay FILE] [--first] [--json]`:
 * many inputs, one after another. What fails is shrunk and written to test/simulation/reproductions. See docs/simulation.md.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';

import { generate } from './generate.js';
import type { Input } from './input.js';
import { shrink } from './shrink.js';
import { simulate, type Outcome } from './simulate.js';
import { createSummary, showSummary } from './summary.js';
import { differenceFrom, disturbedBy, faultsOf, undisturbed } from './systematic.js';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '200' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    ops: { type: 'string', default: '40' },
    'database-every': { type: 'string', default: '200' },
    systematic: { type: 'boolean', default: false },
    replay: { type: 'string' },
    first: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});

const folder = new URL('reproductions/', import.meta.url);
const whole = (name: string, text: string): number => {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0)
    throw new Error(`--${name} is '${text}', it has to be a whole number from 0`);
  return value;
};
const options = { ops: whole('ops', values.ops), databaseEvery: whole('database-every', values['database-every']) };
const summary = createSummary(performance.now());

function tell(text: string): void {
  if (!values.json) process.stdout.write(text);
}

async function play(input: Input): Promise<Outcome> {
  const outcome = await simulate(input);
  summary.add(input, outcome);
  return outcome;
}

/** Writes the smallest input that fails in the same way, and says how to see it again. */
async function keep(input: Input, { failure }: Outcome): Promise<void> {
  if (failure === undefined) return;
  tell(`\nseed ${input.seed}: ${failure.message}\n  shrinking ${input.ops.length} operations ...\n`);
  const small = await shrink(input, failure.invariant);
  await mkdir(folder, { recursive: true });
  const name = `${failure.invariant.replaceAll(/[^a-z0-9]+/giu, '-')}-${input.seed}.json`;
  await writeFile(
    new URL(name, folder),
    `${JSON.stringify({ invariant: failure.invariant, input: small }, null, 2)}\n`,
  );
  const command = `npm run simulate -- --replay test/simulation/reproductions/${name}`;
  summary.failed({ seed: input.seed, invariant: failure.invariant, message: failure.message, command });
  tell(`  ${small.ops.length} operations are left: ${command}\n`);
}

/** For who breaks the product on purpose: the first failure ends it, and nothing is kept. */
function note({ seed }: Input, { failure }: Outcome): void {
  if (failure !== undefined) summary.failed({ seed, ...failure, command: `npm run simulate -- --seed ${seed}` });
}

async function replay(file: string): Promise<void> {
  const { input } = JSON.parse(await readFile(file, 'utf8')) as { input: Input };
  const outcome = await play(input);
  const { failure } = outcome;
  if (failure === undefined) return;
  summary.failed({ seed: input.seed, ...failure, command: `npm run simulate -- --replay ${file}` });
  tell(`${failure.trace.join('\n')}\n${failure.message}\n`);
}

async function systematic(): Promise<void> {
  const expected = await undisturbed();
  const faults = faultsOf(expected);
  for (const fault of faults) {
    const input = disturbedBy([fault]);
    const message = differenceFrom(expected, await play(input));
    if (message === undefined) continue;
    summary.failed({ seed: 1, invariant: 'the same run', message, command: JSON.stringify(input) });
  }
  tell(`${faults.length} faults, one at a time\n`);
}

async function seeds(from: number, count: number): Promise<void> {
  for (let seed = from; seed < from + count; seed++) {
    const input = generate(seed, options);
    const outcome = await play(input);
    if (outcome.failure !== undefined) {
      if (!values.first) await keep(input, outcome);
      else return note(input, outcome);
    }
    const done = seed - from + 1;
    if (done % 50 === 0) tell(`\r${done} of ${count} seeds, ${summary.failures().length} failed`);
  }
  tell('\n');
}

if (values.replay !== undefined) await replay(values.replay);
else if (values.systematic) await systematic();
else if (values.seed !== undefined) await seeds(whole('seed', values.seed), 1);
else await seeds(whole('from', values.from), whole('seeds', values.seeds));

const report = summary.report(performance.now());
process.stdout.write(values.json ? `${JSON.stringify(report)}\n` : showSummary(report));
process.exit(report.failures.length > 0 ? 1 : 0);
