import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { generate } from './generate.js';
import type { Input } from './input.js';
import { simulate } from './simulate.js';
import { differenceFrom, disturbedBy, faultsOf, undisturbed } from './systematic.js';

const seedCount = 150;
const options = { ops: 30, databaseEvery: 0 };
const reproductions = join(process.cwd(), 'test/simulation/reproductions');

async function failureOf(input: Input): Promise<string | undefined> {
  return (await simulate(input)).failure?.message;
}

describe('a simulated federation', () => {
  it('does the same twice, event for event, where the input is the same', async () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const input = generate(seed, options);
      const [once, again] = [await simulate(input), await simulate(input)];
      expect(again).toEqual(once);
      expect(once.tasks).toBeGreaterThan(100);
    }
    const [one, other] = [await simulate(generate(1, options)), await simulate(generate(2, options))];
    expect(one.traceHash).not.toBe(other.traceHash);
  }, 120_000);

  it(`keeps every invariant in ${seedCount} inputs by chance`, async () => {
    const failures: string[] = [];
    for (let seed = 1; seed <= seedCount; seed++) {
      const message = await failureOf(generate(seed, options));
      if (message !== undefined) failures.push(`npm run simulate -- --ops ${options.ops} --seed ${seed}: ${message}`);
    }
    expect(failures).toEqual([]);
  }, 300_000);

  it('keeps every invariant on the real repository over a database', async () => {
    const input = generate(7, options);
    expect(await failureOf({ ...input, config: { ...input.config, store: 'database' } })).toBeUndefined();
  }, 120_000);

  it('dies at every call to its store and at every message, or has the call refused, and ends as if it had not', async () => {
    const expected = await undisturbed();
    expect([expected.failure, expected.statuses]).toEqual([undefined, ['completed']]);
    const faults = faultsOf(expected);
    expect(faults.length).toBeGreaterThan(400);
    const differences: string[] = [];
    for (const fault of faults) {
      const difference = differenceFrom(expected, await simulate(disturbedBy([fault])));
      if (difference !== undefined) differences.push(`${JSON.stringify(fault)}: ${difference}`);
    }
    expect(differences).toEqual([]);
  }, 300_000);
});

describe('failures that were found before', () => {
  it('do not come back', async () => {
    const files = (await readdir(reproductions)).filter((name) => name.endsWith('.json'));
    const failures: string[] = [];
    for (const file of files) {
      const { input } = JSON.parse(await readFile(join(reproductions, file), 'utf8')) as { input: Input };
      const message = await failureOf(input);
      if (message !== undefined)
        failures.push(`npm run simulate -- --replay test/simulation/reproductions/${file}: ${message}`);
    }
    expect(failures).toEqual([]);
  }, 120_000);
});
