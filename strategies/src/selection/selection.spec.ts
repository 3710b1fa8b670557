import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';

import type { Candidate } from './candidate.js';
import { leastRecentlyChosen } from './least-recently-chosen.js';
import { randomOrder } from './random-order.js';
import { utilities, utilityOrder } from './utility-order.js';

const options = { round: 10, count: 3, exploration: 0, slownessPenalty: 2 };

function answered(id: string, loss: number, tookMs = 1000, exampleCount = 100): Candidate {
  return { id, chosenInRound: 9, answer: { round: 9, exampleCount, loss, tookMs } };
}

const candidate: fc.Arbitrary<Candidate> = fc.record(
  {
    id: fc.uuid(),
    chosenInRound: fc.integer({ min: 1, max: 50 }),
    answer: fc.record({
      round: fc.integer({ min: 1, max: 50 }),
      exampleCount: fc.integer({ min: 1, max: 1_000_000 }),
      loss: fc.double(),
      tookMs: fc.double({ min: 0, max: 1e9, noNaN: true }),
    }),
  },
  { requiredKeys: ['id'] },
);
const population = fc.uniqueArray(candidate, { selector: ({ id }) => id, maxLength: 30 });

describe('every order of selection', () => {
  it('names each candidate once, and the same for the same seed', () => {
    fc.assert(
      fc.property(
        population,
        fc.nat(),
        fc.nat({ max: 40 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (all, ...of) => {
          const [seed, count, exploration] = of;
          const orders = [
            () => randomOrder(all, seed),
            () => leastRecentlyChosen(all, seed),
            () => utilityOrder(all, { ...options, count, exploration }, seed),
          ];
          for (const order of orders) {
            expect([...order()].sort()).toEqual(all.map(({ id }) => id).sort());
            expect(order()).toEqual(order());
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe('the least recently chosen', () => {
  it('come first, and who was never chosen before them', () => {
    const all = [
      { id: 'a', chosenInRound: 3 },
      { id: 'b', chosenInRound: 1 },
      { id: 'c' },
      { id: 'd', chosenInRound: 2 },
    ];
    expect(leastRecentlyChosen(all, 1)).toEqual(['c', 'b', 'd', 'a']);
  });

  it('are all chosen once in as many rounds as it takes', () => {
    const chosen = new Map<string, number>();
    const ids = Array.from({ length: 10 }, (_, i) => `agent-${i}`);
    for (let round = 1; round <= 4; round++) {
      const all = ids.map((id): Candidate => {
        const last = chosen.get(id);
        return last === undefined ? { id } : { id, chosenInRound: last };
      });
      for (const id of leastRecentlyChosen(all, round).slice(0, 3)) chosen.set(id, round);
    }
    expect([...chosen.keys()].sort()).toEqual(ids);
  });
});

describe('the most useful', () => {
  it('have many examples and much to learn from them', () => {
    const all = [answered('small', 1, 1000, 10), answered('learnt', 0.01), answered('rich', 1)];
    expect(utilities(all, options).map(({ id }) => id)).toEqual(['rich', 'small', 'learnt']);
  });

  it('count less where they are slower than the median, by the square', () => {
    const all = [answered('slow', 1, 4000), answered('a', 1), answered('b', 1)];
    const found = new Map(utilities(all, options).map(({ id, utility }) => [id, utility]));
    expect((found.get('slow') ?? 0) / (found.get('a') ?? 1)).toBeCloseTo(1 / 16, 10);
    const ignoring = utilities(all, { ...options, slownessPenalty: 0 });
    expect(new Set(ignoring.map(({ utility }) => utility)).size).toBe(1);
  });

  it('are asked again once what is known of them is old', () => {
    const old: Candidate = { id: 'old', answer: { round: 1, exampleCount: 100, loss: 0.5, tookMs: 1000 } };
    const all = [answered('new', 0.6), old];
    expect(utilities(all, { ...options, round: 10_000 })[0]?.id).toBe('old');
    expect(utilities(all, { ...options, round: 1 })[0]?.id).toBe('new');
  });

  it('do not profit without bound from one absurd loss', () => {
    const all = [answered('absurd', 1e30), ...Array.from({ length: 40 }, (_, i) => answered(`agent-${i}`, 1))];
    const [first] = utilities(all, { ...options, round: 1 });
    expect(first?.utility).toBeCloseTo(1, 10);
    expect(utilities(all, { ...options, round: 1 }).at(-1)?.utility).toBeCloseTo(1, 10);
  });

  it('share the cohort with those who never answered, by the share of exploration', () => {
    const all = [
      ...Array.from({ length: 20 }, (_, i) => answered(`known-${i}`, 1)),
      ...Array.from({ length: 20 }, (_, i) => ({ id: `new-${i}` })),
    ];
    const explored = Array.from({ length: 300 }, (_, seed) =>
      utilityOrder(all, { ...options, count: 10, exploration: 0.25 }, seed)
        .slice(0, 10)
        .filter((id) => id.startsWith('new')),
    );
    const mean = explored.reduce((sum, { length }) => sum + length, 0) / explored.length;
    expect(mean).toBeGreaterThan(2.3);
    expect(mean).toBeLessThan(2.7);
    expect(utilityOrder(all, { ...options, count: 25 }, 1).slice(0, 25)).toHaveLength(25);
  });
});
