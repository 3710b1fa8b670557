/** Thirty rounds with retention on: what is left afterwards is what the settings keep, and a row of history a round and a report. */
import { resolve } from 'node:path';

import { run } from './support/commands.js';

const bench = resolve(import.meta.dirname, '../bench/main.mjs');

interface Measured {
  readonly lost: number;
  readonly doubled: number;
  readonly wrongSums: number;
  readonly growing: readonly string[];
  readonly end: { readonly blobs: number; readonly rows: Readonly<Record<string, number>> };
}

describe('a long run with retention', () => {
  it('keeps ten checkpoints with their blobs, and no event, effect or instruction of rounds that are over', async () => {
    const { exit, stdout, stderr } = await run(bench, ['soak', '--rounds', '30']);
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' });
    const { end, ...measured } = JSON.parse(stdout) as Measured;
    expect(measured).toMatchObject({ lost: 0, doubled: 0, wrongSums: 0, growing: [] });
    expect(end.rows).toMatchObject({ rounds: 30, updates: 90, checkpoints: 10, events: 0, outbox: 0, instructions: 0 });
    // Two forms of each checkpoint and of the base of the task; sealed updates are gone with the run.
    expect(end.blobs).toBeLessThanOrEqual(22);
  }, 150_000);
});
