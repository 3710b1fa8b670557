/**
 * What an activation's values lie between, as measured over calibration examples. Ranges are gathered at the agents, since the
 * coordinator may hold no data, and merged here; so they come from outside and are checked.
 */
import { GraftError } from '@graft/core/error';

export interface Range {
  readonly min: number;
  readonly max: number;
}

/** By name of the tensor. */
export type Ranges = ReadonlyMap<string, Range>;

/**
 * One agent's ranges, checked: throws RANGES_INVALID unless there is exactly one finite range with min <= max for each of `names`.
 * @param what whose ranges they are, for the message
 */
export function checkRanges(
  ranges: Iterable<readonly [name: string, range: Range]>,
  names: readonly string[],
  what = 'the calibration',
): Map<string, Range> {
  const expected = new Set(names);
  const found = new Map<string, Range>();
  for (const [name, { min, max }] of ranges) {
    if (!expected.has(name)) throw invalid(`${what} gives a range of '${name}', which was not asked for`);
    if (found.has(name)) throw invalid(`${what} gives two ranges of '${name}'`);
    if (!Number.isFinite(min) || !Number.isFinite(max)) {
      throw invalid(`${what} gives the range of '${name}' as [${min}, ${max}], which is not finite`);
    }
    if (min > max)
      throw invalid(`${what} gives the range of '${name}' as [${min}, ${max}], whose min is above its max`);
    found.set(name, { min, max });
  }
  const missing = names.find((name) => !found.has(name));
  if (missing !== undefined) throw invalid(`${what} has no range of '${missing}'`);
  return found;
}

/**
 * Ranges of a cohort out of those of its agents: for each tensor the median of the minima and the median of the maxima.
 *
 * Not the union: one agent, broken or hostile, could then widen a range without bound, and a range a thousand times too
 * wide leaves no resolution for anyone. A median moves only where half of the agents or more move it. What it costs:
 * values beyond the median agent's extreme saturate. Of an even number of agents the wider of the two middle values is taken,
 * so that of two agents both fit.
 * Every agent's ranges must have passed `checkRanges` for the same names. Throws RANGES_INVALID where there is no agent.
 */
export function mergeRanges(perAgent: readonly Ranges[]): Map<string, Range> {
  const [first] = perAgent;
  if (first === undefined) throw invalid('no agent has given ranges');
  const merged = new Map<string, Range>();
  for (const name of first.keys()) {
    const ranges = perAgent.map((ranges) => {
      const range = ranges.get(name);
      if (range === undefined) throw invalid(`an agent has no range of '${name}'`);
      return range;
    });
    const half = Math.floor(ranges.length / 2);
    const minima = ranges.map(({ min }) => min).sort((a, b) => b - a);
    const maxima = ranges.map(({ max }) => max).sort((a, b) => a - b);
    merged.set(name, { min: minima[half] ?? 0, max: maxima[half] ?? 0 });
  }
  return merged;
}

function invalid(message: string): GraftError {
  return new GraftError('RANGES_INVALID', message);
}
