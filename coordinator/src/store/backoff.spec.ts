import * as fc from 'fast-check';

import { backoffMs } from './backoff.js';

const backoff = { firstMs: 20, longestMs: 1_000 };

test('pauses double up to a limit and are drawn from the whole range below', () => {
  expect([1, 2, 3, 20].map((attempt) => backoffMs(backoff, attempt, 0.5))).toEqual([10, 20, 40, 500]);
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 60 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (attempt, chance) => {
        const pause = backoffMs(backoff, attempt, chance);
        return pause >= 0 && pause < 1_000;
      },
    ),
  );
});
