import { random } from '@graft/core/random';
import * as fc from 'fast-check';

import { fedAvg } from './fed-avg.js';
import type { Update } from './strategy.js';

const length = 17;

function updatesOf(seed: number, count: number): Update[] {
  const source = random(seed);
  return Array.from({ length: count }, () => ({
    delta: Float32Array.from({ length }, () => source.normal() * 10 ** (source.below(9) - 4)),
    offset: 0,
    exampleCount: 1 + source.below(5000),
  }));
}

function mean(updates: readonly Update[], base = new Float32Array(length)): Float32Array {
  const sum = fedAvg.init(length);
  for (const update of updates) fedAvg.accumulate(sum, update);
  const weights = base.slice();
  fedAvg.apply(weights, sum);
  return weights;
}

const seeds = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const counts = fc.integer({ min: 1, max: 12 });

describe('federated averaging', () => {
  it('gives the mean of the deltas weighted by example counts', () => {
    const sum = fedAvg.init(2);
    fedAvg.accumulate(sum, { delta: Float32Array.of(1, -2), offset: 0, exampleCount: 1 });
    fedAvg.accumulate(sum, { delta: Float32Array.of(5, 2), offset: 0, exampleCount: 3 });
    const weights = Float32Array.of(10, 20);
    fedAvg.apply(weights, sum);
    expect([...weights]).toEqual([14, 21]);
    expect(fedAvg.report(sum)).toEqual({ updateCount: 2, exampleCount: 4, squaredNorm: 17 });
  });

  it('leaves the weights as they are where nobody answered', () => {
    const sum = fedAvg.init(2);
    const weights = Float32Array.of(1.5, -0);
    fedAvg.apply(weights, sum);
    expect([...weights]).toEqual([1.5, -0]);
    expect(fedAvg.report(sum).squaredNorm).toBe(0);
  });

  it('does not depend on the order of updates beyond the bound of float64 addition', () => {
    fc.assert(
      fc.property(seeds, counts, (seed, count) => {
        const updates = updatesOf(seed, count);
        const [one, other] = [updates, random(seed).shuffle(updates)].map((order) => {
          const sum = fedAvg.init(length);
          for (const update of order) fedAvg.accumulate(sum, update);
          return sum.weighted;
        });
        for (let i = 0; i < length; i++) {
          const magnitude = updates.reduce((total, u) => total + Math.abs(u.exampleCount * (u.delta[i] ?? 0)), 0);
          const bound = 2 * (count - 1) * 2 ** -53 * magnitude;
          expect(Math.abs((one?.[i] ?? NaN) - (other?.[i] ?? NaN))).toBeLessThanOrEqual(bound);
        }
      }),
    );
  });

  it('gives the same bits for every arrival order once the order is made canonical', () => {
    fc.assert(
      fc.property(seeds, counts, (seed, count) => {
        const named = updatesOf(seed, count).map((update, i) => ({ agentId: `agent-${i}`, update }));
        const canonical = (list: typeof named): Float32Array =>
          mean([...list].sort((a, b) => (a.agentId < b.agentId ? -1 : 1)).map(({ update }) => update));
        expect(canonical(random(seed).shuffle(named))).toEqual(canonical(named));
      }),
    );
  });

  it('gives the same bits whether an update comes whole or in parts', () => {
    fc.assert(
      fc.property(seeds, counts, fc.integer({ min: 1, max: length }), (seed, count, partLength) => {
        const updates = updatesOf(seed, count);
        const parts = updates.flatMap(({ delta, exampleCount }) =>
          Array.from({ length: Math.ceil(length / partLength) }, (_, i) => ({
            delta: delta.subarray(i * partLength, (i + 1) * partLength),
            offset: i * partLength,
            exampleCount,
          })),
        );
        expect(mean(parts)).toEqual(mean(updates));
      }),
    );
  });

  it('gives the same mean when every example count is doubled', () => {
    fc.assert(
      fc.property(seeds, counts, (seed, count) => {
        const updates = updatesOf(seed, count);
        const doubled = updates.map((update) => ({ ...update, exampleCount: update.exampleCount * 2 }));
        expect(mean(doubled)).toEqual(mean(updates));
      }),
    );
  });

  it('lets a stale update count less of its share, and gives the rest to nobody', () => {
    const ones = new Float32Array(length).fill(1);
    const fresh = { delta: ones, offset: 0, exampleCount: 30 };
    const stale = { delta: ones.map((one) => -one), offset: 0, exampleCount: 10, weight: 0.5 };
    expect(mean([fresh, stale])).toEqual(ones.map(() => (30 - 5) / 40));
    expect(mean([stale])).toEqual(ones.map(() => -0.5));
  });

  it.each([0, -1, 1.01, Number.NaN])('refuses a weight of %p', (weight) => {
    const update = { delta: Float32Array.of(1), offset: 0, exampleCount: 1, weight };
    expect(() => fedAvg.accumulate(fedAvg.init(1), update)).toThrow('a weight lies in (0, 1]');
  });

  it.each([0, -1, 1.5, Number.NaN, Infinity])('refuses an example count of %p', (exampleCount) => {
    expect(() => fedAvg.accumulate(fedAvg.init(1), { delta: Float32Array.of(1), offset: 0, exampleCount })).toThrow(
      RangeError,
    );
  });

  it('refuses a part that lies outside the vector', () => {
    expect(() => fedAvg.accumulate(fedAvg.init(3), { delta: new Float32Array(2), offset: 2, exampleCount: 1 })).toThrow(
      'outside a sum of 3',
    );
  });
});
