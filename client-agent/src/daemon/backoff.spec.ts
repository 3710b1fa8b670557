import { random } from '@graft/core/random';
import { assert, integer, property } from 'fast-check';

import { backoffMs } from './backoff.js';

const policy = { baseMs: 200, capMs: 5_000 };

describe('waiting between attempts', () => {
  it('is the same for the same seed and differs between seeds', () => {
    const waits = (seed: number): number[] => {
      const stream = random(seed);
      return [1, 2, 3, 4].map((failures) => backoffMs(failures, policy, stream));
    };
    expect(waits(7)).toEqual(waits(7));
    expect(waits(7)).not.toEqual(waits(8));
  });

  it('grows from half the base and never passes the cap', () => {
    assert(
      property(integer(), integer({ min: 1, max: 10_000 }), (seed, failures) => {
        const wait = backoffMs(failures, policy, random(seed));
        const whole = Math.min(policy.capMs, policy.baseMs * 2 ** (failures - 1));
        expect(wait).toBeGreaterThanOrEqual(Math.floor(whole / 2));
        expect(wait).toBeLessThanOrEqual(whole);
      }),
    );
  });
});
