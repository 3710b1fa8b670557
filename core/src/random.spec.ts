import * as fc from 'fast-check';

import { random, seedFrom } from './random.js';

describe('random', () => {
  it('gives the same stream for the same seed, and another for another', () => {
    const stream = (seed: number): number[] => Array.from({ length: 5 }, random(seed).next);
    expect(stream(7)).toEqual(stream(7));
    expect(stream(7)).not.toEqual(stream(8));
  });

  it('stays in its interval and below its limit', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 1000 }), (seed, limit) => {
        const chance = random(seed);
        const value = chance.next();
        const whole = chance.below(limit);
        expect(value >= 0 && value < 1).toBe(true);
        expect(Number.isInteger(whole) && whole >= 0 && whole < limit).toBe(true);
      }),
    );
  });

  it('shuffles without losing anything, and leaves its input alone', () => {
    fc.assert(
      fc.property(fc.integer(), fc.array(fc.integer()), (seed, values) => {
        const before = [...values];
        expect(
          random(seed)
            .shuffle(values)
            .sort((a, b) => a - b),
        ).toEqual([...values].sort((a, b) => a - b));
        expect(values).toEqual(before);
      }),
    );
  });

  it('draws normal numbers with mean 0 and variance 1', () => {
    const { normal } = random(1);
    const values = Array.from({ length: 20_000 }, normal);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(0.03);
    expect(Math.abs(variance - 1)).toBeLessThan(0.05);
  });

  it('makes seeds that depend on every part, and on where one part ends', () => {
    expect(seedFrom('run', 'a', 1)).not.toBe(seedFrom('run', 'a', 2));
    expect(seedFrom('ab', 'c')).not.toBe(seedFrom('a', 'bc'));
  });
});
