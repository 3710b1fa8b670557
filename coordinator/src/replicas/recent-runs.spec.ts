import type { StoredRun } from '../rounds/material.js';
import { recentRuns } from './recent-runs.js';

/** Only what is read of it. */
const runOf = (round: number, phase = 'training'): StoredRun => ({ machine: { round, phase } }) as StoredRun;

describe('runs that were read a moment ago', () => {
  let nowMs = 0;
  let round: number | undefined = 1;
  let phase = 'training';
  let reads = 0;
  const look = recentRuns(
    async () => {
      reads += 1;
      return round === undefined ? undefined : runOf(round, phase);
    },
    { nowMs: () => nowMs },
  );

  test('are not read again for the same round, until they are old, of another round, or asked for anew', async () => {
    for (const [atMs, asked, expected] of [
      [0, 1, 1],
      [999, 1, 1],
      [1_000, 1, 2],
      [1_001, 2, 3],
      [1_002, undefined, 4],
      [500_000, 1, 5],
      // The clock was set back.
      [100, 1, 6],
    ] as const) {
      nowMs = atMs;
      await look('run', asked);
      expect([atMs, reads]).toEqual([atMs, expected]);
    }
  });

  test('are read again where their round took no updates yet', async () => {
    phase = 'selecting';
    nowMs = 10_000;
    await look('early', 1);
    phase = 'training';
    reads = 0;
    await look('early', 1);
    await look('early', 1);
    expect(reads).toBe(1);
  });

  test('are forgotten when they are over, and so are the oldest of many', async () => {
    round = undefined;
    expect(await look('run', 2)).toBeUndefined();
    round = 1;
    reads = 0;
    for (let i = 0; i < 101; i++) await look(`run-${i}`, 1);
    await look('run-100', 1);
    expect(reads).toBe(101);
    await look('run-0', 1);
    expect(reads).toBe(102);
  });
});
