/**
 * bench/crash.mjs in its short form: a coordinator that dies at calls of its own, and servers of its store that are killed.
 * Coordinators, agents and trainers at random moments are killed in crash.e2e-spec.ts, replicas in replicas.e2e-spec.ts.
 */
import { resolve } from 'node:path';

import { whyNoPostgres } from './postgres.adapter.js';
import { whyNoS3 } from './s3.adapter.js';
import { run } from './support/commands.js';

const bench = resolve(import.meta.dirname, '../bench/main.mjs');

async function crash(args: string): Promise<void> {
  const { exit, stdout, stderr } = await run(bench, ['crash', ...args.split(' ')], { timeoutMs: 230_000 });
  expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' });
  const measured = JSON.parse(stdout) as { readonly kills: number };
  const none = { roundsLost: 0, roundsDoubled: 0, wrongSums: 0 };
  expect(measured).toMatchObject({ ...none, weightsEqual: true, kills: expect.any(Number) });
  expect(measured.kills).toBeGreaterThan(0);
}

const missing = { postgres: await whyNoPostgres(), s3: await whyNoS3() };

describe('a run is the one that nothing disturbed, bit for bit,', () => {
  it(
    'where the coordinator died at a query, before it reached the store',
    () => crash('--at store --stride 45'),
    240_000,
  );

  it(
    'where the coordinator died once a message of it was handed over',
    () => crash('--at transport --when after --stride 12'),
    240_000,
  );

  for (const target of ['postgres', 's3'] as const) {
    const each = missing[target] === undefined ? it : it.skip;
    each(
      `where ${target} was killed ${missing[target] ?? ''}`,
      () => crash(`--target ${target} --kills 1 --rounds 3`),
      240_000,
    );
  }
});
