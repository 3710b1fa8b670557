/** Calibration: run the examples and keep the smallest and largest value of each activation. */
import { GraftError } from '@graft/core/error';

import type { Feeds, Session } from '../runtime/runtime.js';
import { checkRanges, widenRanges, type Range } from './ranges.js';
import { rangeOutputs } from './with-ranges.js';

/**
 * The range of each of `names` over all batches.
 * @param session of the model that `withRanges(model, names)` made
 * Throws RANGES_INVALID where there is no batch or an activation is not finite.
 */
export async function collectRanges(
  session: Session,
  names: readonly string[],
  batches: Iterable<Feeds> | AsyncIterable<Feeds>,
): Promise<Map<string, Range>> {
  let ranges: Map<string, Range> | undefined;
  for await (const feeds of batches) {
    const fetches = await session.run(feeds);
    const scalar = (output: string): number => {
      const value = fetches[output];
      return value?.dtype === 'float32' ? (value.data[0] ?? NaN) : NaN;
    };
    const seen = names.map((name): [string, Range] => {
      const { min, max } = rangeOutputs(name);
      return [name, { min: scalar(min), max: scalar(max) }];
    });
    // Checked batch by batch: Math.min would swallow what is not finite in some orders.
    const checked = checkRanges(seen, names);
    ranges = ranges === undefined ? checked : widenRanges(ranges, checked);
  }
  if (ranges === undefined) throw new GraftError('RANGES_INVALID', 'no example was given to calibrate with');
  return ranges;
}
