import { describe, expect, it } from '@jest/globals';

import { stalenessWeight } from './staleness.js';

describe('the weight of a stale update', () => {
  it('is (1 + s)^-1/2', () => {
    expect([0, 3, 8, 99].map(stalenessWeight)).toEqual([1, 0.5, 1 / 3, 0.1]);
    expect(stalenessWeight(1)).toBeCloseTo(Math.SQRT1_2, 15);
  });

  it('is not defined for anything but a count of commits', () => {
    for (const wrong of [-1, 0.5, Number.NaN, Infinity]) expect(() => stalenessWeight(wrong)).toThrow(RangeError);
  });
});
