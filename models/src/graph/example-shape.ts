/** A model for examples of one size: what preprocessing gives becomes the declared shape of the input. */
import { GraftError } from '@graft/core/error';

import type { Dimension, Model, Value } from './graph.js';

/**
 * The model with every dimension of its only input but the first (the batch) set to `exampleShape`.
 * Symbols that get a size get it everywhere. Throws MODEL_UNSUPPORTED where the model declares another size or has several inputs.
 */
export function withExampleShape(model: Model, exampleShape: readonly number[]): Model {
  const { graph } = model;
  const [input] = graph.inputs;
  if (input === undefined || graph.inputs.length !== 1) {
    throw new GraftError('MODEL_UNSUPPORTED', `the model has ${graph.inputs.length} inputs, expected 1`);
  }
  const declared = input.shape ?? ['batch', ...exampleShape];
  const shape = declared.slice(1);
  const fits =
    shape.length === exampleShape.length &&
    shape.every((size, i) => size === exampleShape[i] || typeof size === 'string');
  if (!fits) {
    throw new GraftError(
      'MODEL_UNSUPPORTED',
      `input '${input.name}' takes [${declared.join(', ')}], an example is [${exampleShape.join(', ')}]`,
    );
  }
  const sizes = new Map<Dimension, Dimension>(shape.map((size, i) => [size, exampleShape[i] ?? size]));
  const sized = (value: Value): Value =>
    value.shape === undefined ? value : { ...value, shape: value.shape.map((size) => sizes.get(size) ?? size) };
  const resized = { ...input, shape: declared.map((size, i) => (i === 0 ? size : (exampleShape[i - 1] ?? size))) };
  return { ...model, graph: { ...graph, inputs: [resized], outputs: graph.outputs.map(sized) } };
}
