/** An architecture with the weights of a file. */
import { GraftError } from '@graft/core/error';
import type { Weights } from '@graft/core/tensor';

import type { Model } from './graph.js';

/** Counters of training that no network reads. */
const counters = /num_batches_tracked$/;

/**
 * The model with the file's values; the constants of its formulas, which have names with a '/', stay.
 * Throws WEIGHTS_MALFORMED that names what lacks, what has another type or shape, or what the model does not have.
 */
export function withWeights({ graph, weights }: Model, file: Weights): Model {
  const result = new Map(weights);
  for (const { name } of graph.weights) {
    const own = weights.get(name);
    const given = file.get(name);
    if (given === undefined && name.includes('/')) continue;
    if (given === undefined)
      throw new GraftError('WEIGHTS_MALFORMED', `the file has no tensor '${name}' of ${graph.name}`);
    if (own !== undefined && (own.dtype !== given.dtype || own.shape.join() !== given.shape.join())) {
      const [has, takes] = [given, own].map(({ dtype, shape }) => `${dtype} [${shape.join(', ')}]`);
      throw new GraftError('WEIGHTS_MALFORMED', `'${name}' is ${has} in the file, ${graph.name} takes ${takes}`);
    }
    result.set(name, given);
  }
  const unknown = [...file.keys()].find((name) => !result.has(name) && !counters.test(name));
  if (unknown !== undefined) {
    throw new GraftError('WEIGHTS_MALFORMED', `the file has a tensor '${unknown}', which ${graph.name} does not have`);
  }
  return { graph, weights: result };
}
