/** Weights that make rare classes count as much as frequent ones, and what is said of classes without examples. */
import { GraftError } from '@graft/core/error';

/** Examples of each class. Throws DATA_UNSUITABLE that names the first label outside [0, classes). */
export function classCounts(labels: Int32Array, classes: number): Float64Array {
  const counts = new Float64Array(classes);
  for (const [i, label] of labels.entries()) {
    if (label < 0 || label >= classes) {
      throw new GraftError('DATA_UNSUITABLE', `label ${label} of example ${i} is none of the ${classes} classes`);
    }
    counts[label] = (counts[label] ?? 0) + 1;
  }
  return counts;
}

/** N / (C n_c), with C the classes that have examples: the weights of all examples sum to N. 0 for a class without one. */
export function balancedClassWeights(labels: Int32Array, classes: number): Float32Array {
  const counts = classCounts(labels, classes);
  const present = counts.reduce((sum, count) => sum + (count > 0 ? 1 : 0), 0);
  return Float32Array.from(counts, (count) => (count > 0 ? labels.length / (present * count) : 0));
}

/**
 * The classes that have no example, by name. Throws CLASS_EMPTY where the task refuses that: a site may well see only some of
 * the classes, a hold-out set may not.
 */
export function emptyClasses(
  labels: Int32Array,
  names: readonly string[],
  policy: 'warn' | 'refuse',
): readonly string[] {
  const counts = classCounts(labels, names.length);
  const empty = names.filter((_, i) => counts[i] === 0);
  if (empty.length === 0 || policy === 'warn') return empty;
  const shown = empty.slice(0, 12).join(', ') + (empty.length > 12 ? ', …' : '');
  throw new GraftError('CLASS_EMPTY', `${empty.length} of ${names.length} classes have no example: ${shown}`, {
    details: { empty: empty.length },
  });
}
