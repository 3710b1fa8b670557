/** Sizes that a training graph needs as numbers. */
import { GraftError } from '@graft/core/error';

import type { Dimension } from '../graph/graph.js';

/** Throws MODEL_UNSUPPORTED for a symbol. */
export function fixedSizeOf(size: Dimension | undefined, what: string): number {
  if (typeof size === 'number') return size;
  throw new GraftError('MODEL_UNSUPPORTED', `the number of ${what} is '${size ?? '?'}', training needs a fixed one`);
}
