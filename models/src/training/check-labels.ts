/** Labels are checked before a run: inside of it, one that is out of range would be a class that no logit has. */
import { GraftError } from '@graft/core/error';

import type { Feeds } from '../runtime/runtime.js';
import type { TrainingStep } from './training-step.js';

/**
 * @param rows numbers of the examples of this batch
 * Throws DATA_UNSUITABLE for a label that is none of the classes, naming the example.
 */
export function checkLabels(
  { targets, classes, ignoredLabel }: TrainingStep,
  feeds: Feeds,
  rows: readonly number[],
): void {
  for (const { role, name } of targets) {
    const value = feeds[name];
    if (role !== 'labels' || value?.dtype !== 'int32') continue;
    const at = value.data.findIndex((label) => (label < 0 || label >= classes) && label !== ignoredLabel);
    if (at < 0) continue;
    const row = rows[Math.floor((at * rows.length) / value.data.length)] ?? 0;
    throw new GraftError(
      'DATA_UNSUITABLE',
      `example ${row} has label ${value.data[at] ?? NaN}, which is none of the ${classes} classes of the model (0 to ${classes - 1})`,
    );
  }
}
