/** A model in two at one tensor: the trunk makes it, the tail goes on from it. */
import { extract } from './extract.js';
import type { Model } from './graph.js';
import { valueOf } from './value-type.js';

/**
 * The tail's single input has the tensor's name. What neither needs is dropped; weights that both need are in both.
 * Throws TENSOR_UNKNOWN, or MODEL_UNSUPPORTED where a path leads around the tensor.
 */
export function cutAt(model: Model, tensorName: string): { trunk: Model; tail: Model } {
  const joint = valueOf(model, tensorName);
  return {
    trunk: extract(model, { inputs: model.graph.inputs, outputs: [joint] }),
    tail: extract(model, { inputs: [joint], outputs: model.graph.outputs }),
  };
}
