import * as fc from 'fast-check';

import { random } from '@graft/core/random';

import { apportion, dirichletShares, examplesOf } from './dirichlet-split.js';

const alphas = fc.constantFrom(0.01, 0.1, 0.5, 1, 10, 1000);

/** Ten classes of a hundred examples. */
const byClass = Array.from({ length: 10 }, (_, label) =>
  Array.from({ length: 100 }, (_, index) => label * 100 + index),
);

describe('shares of classes', () => {
  it('are not negative and add up to one, for any concentration', () => {
    fc.assert(
      fc.property(alphas, fc.integer({ min: 1, max: 100 }), fc.nat(), (alpha, classes, seed) => {
        const shares = dirichletShares(classes, alpha, random(seed));
        expect(shares).toHaveLength(classes);
        expect(Math.min(...shares)).toBeGreaterThanOrEqual(0);
        expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 9);
      }),
    );
  });

  it('have the mean and the variance of the distribution', () => {
    const alpha = 0.5;
    const first = Array.from({ length: 4000 }, (_, seed) => dirichletShares(10, alpha, random(seed))[0] ?? 0);
    const mean = first.reduce((sum, share) => sum + share, 0) / first.length;
    const variance = first.reduce((sum, share) => sum + (share - mean) ** 2, 0) / first.length;
    // Dirichlet(a, ..., a) of k classes: mean 1/k, variance (1/k)(1 - 1/k) / (k a + 1).
    expect(mean).toBeCloseTo(0.1, 2);
    expect(variance).toBeCloseTo((0.1 * 0.9) / (10 * alpha + 1), 2);
  });

  it('are unlike where the concentration is small, and alike where it is large', () => {
    const largest = (alpha: number): number =>
      Array.from({ length: 50 }, (_, seed) => Math.max(...dirichletShares(10, alpha, random(seed)))).reduce(
        (a, b) => a + b,
      ) / 50;
    expect(largest(0.05)).toBeGreaterThan(0.7);
    expect(largest(1000)).toBeLessThan(0.12);
  });
});

describe('whole numbers in proportion', () => {
  it('add up to the count and stay within one of the exact share', () => {
    fc.assert(
      fc.property(alphas, fc.integer({ min: 1, max: 30 }), fc.nat(500), fc.nat(), (alpha, classes, count, seed) => {
        const shares = dirichletShares(classes, alpha, random(seed));
        const whole = apportion(shares, count);
        expect(whole.reduce((sum, value) => sum + value, 0)).toBe(count);
        whole.forEach((value, index) => expect(Math.abs(value - (shares[index] ?? 0) * count)).toBeLessThan(1.001));
      }),
    );
  });
});

describe('the examples of an agent', () => {
  it('are different ones of the data set, and the same again for the same seed', () => {
    fc.assert(
      fc.property(alphas, fc.integer({ min: 1, max: 100 }), fc.nat(), (alpha, count, seed) => {
        const own = examplesOf(byClass, { count, alpha, seed });
        expect(own).toHaveLength(count);
        expect(new Set(own).size).toBe(count);
        expect(own.every((index) => index >= 0 && index < 1000)).toBe(true);
        expect(examplesOf(byClass, { count, alpha, seed })).toEqual(own);
      }),
      { numRuns: 60 },
    );
  });

  it('are fewer where the classes that it drew do not have as many', () => {
    const own = examplesOf([[1, 2, 3]], { count: 10, alpha: 1, seed: 1 });
    expect(own.toSorted((a, b) => a - b)).toEqual([1, 2, 3]);
  });
});
