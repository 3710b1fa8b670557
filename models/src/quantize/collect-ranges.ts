/**
 * Calibration: run examples and note between what the values of each activation lie.
 *
 * A range is not the union over all examples but nine tenths of them fit: the 90th percentile of the examples' largest
 * values, and the 10th of their smallest. One unusual example would otherwise take resolution from all others.
 * With the demo's base model, 100 calibration images and 2000 others, the union costs 1.9 points of accuracy and 0.097 nats of
 * KL; the percentile nothing and 0.030; 75, 85 and 95 lie between them (0.042, 0.048, 0.048).
 */
import { GraftError } from '@graft/core/error';

import type { Feeds, Fetches, Session } from '../runtime/runtime.js';
import { checkRanges, type Range } from './ranges.js';
import { rangeOutputs } from './with-ranges.js';

/** A percentile moves little past some hundred examples; after this many no further batch is run. */
const enoughExamples = 1000;

const share = 0.9;

/**
 * The range of each of `names`.
 * @param session of the model that `withRanges(model, names)` made
 * Throws RANGES_INVALID where there is no example, or an activation of any example is not finite.
 */
export async function collectRanges(
  session: Session,
  names: readonly string[],
  batches: Iterable<Feeds> | AsyncIterable<Feeds>,
): Promise<Map<string, Range>> {
  const extremes = names.map((name) => ({ name, minima: [] as number[], maxima: [] as number[] }));
  for await (const feeds of batches) {
    const fetches = await session.run(feeds);
    for (const { name, minima, maxima } of extremes) {
      const { min, max } = rangeOutputs(name);
      minima.push(...finite(fetches, min));
      maxima.push(...finite(fetches, max));
    }
    if ((extremes[0]?.minima.length ?? 0) >= enoughExamples) break;
  }
  const ranges = extremes.map(({ name, minima, maxima }): [string, Range] => [
    name,
    // Each example has min <= max, so the percentiles do too, unless a few examples have most of the variation.
    ordered(-percentile(minima.map((value) => -value)), percentile(maxima)),
  ]);
  return checkRanges(ranges, names);
}

function ordered(min: number, max: number): Range {
  return { min: Math.min(min, max), max: Math.max(min, max) };
}

/** Nearest rank: a value that occurred. */
function percentile(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const value = sorted[Math.ceil(share * sorted.length) - 1];
  if (value === undefined) throw new GraftError('RANGES_INVALID', 'no example was given to calibrate with');
  return value;
}

function finite(fetches: Fetches, output: string): Float32Array {
  const value = fetches[output];
  if (value?.dtype !== 'float32') throw new RangeError(`the session has no output '${output}'; see withRanges`);
  const wrong = value.data.find((extreme) => !Number.isFinite(extreme));
  if (wrong !== undefined) {
    throw new GraftError('RANGES_INVALID', `an example gives ${wrong} as '${output}', which is not finite`);
  }
  return value.data;
}
