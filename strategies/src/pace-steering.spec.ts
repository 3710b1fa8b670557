import { describe, expect, it } from '@jest/globals';

import { comeBackMs, longestAwayMs } from './pace-steering.js';

const roundMs = 60_000;
const times = (population: number, wanted: number): number[] =>
  Array.from({ length: 2000 }, (_, seed) =>
    comeBackMs({ population, wanted, roundMs, nextRoundAtMs: 50_000, atMs: 10_000, seed }),
  );

describe('pace steering', () => {
  it('gathers a small population where the next round begins', () => {
    const all = times(20, 10);
    expect(Math.min(...all)).toBeGreaterThanOrEqual(40_000);
    expect(Math.max(...all)).toBeLessThanOrEqual(46_000);
  });

  it('does not send anyone away for a round that should have begun', () => {
    const late = comeBackMs({ population: 2, wanted: 2, roundMs, nextRoundAtMs: 0, atMs: 10_000, seed: 1 });
    expect(late).toBeLessThanOrEqual(6_000);
  });

  it('spreads a large population so that twice what a round asks come in its time', () => {
    const [population, wanted] = [10_000, 100];
    const all = times(population, wanted);
    const mean = all.reduce((sum, ms) => sum + ms, 0) / all.length;
    const perRound = (population / mean) * roundMs;
    expect(perRound).toBeGreaterThan(1.9 * wanted);
    expect(perRound).toBeLessThan(2.1 * wanted);
    const inOneMinute = Array.from({ length: 50 }, (_, i) => 50 + i).map(
      (of) => all.filter((ms) => Math.floor(ms / 60_000) === of).length,
    );
    expect(Math.max(...inOneMinute) / all.length).toBeLessThan(0.05);
  });

  it('sends nobody away for more than a day', () => {
    expect(Math.max(...times(1_000_000_000, 10))).toBe(longestAwayMs);
  });
});
