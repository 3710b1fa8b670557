/** A model for examples of one size: what preprocessing gives becomes the declared shape of the input. */
import { GraftError } from '@graft/core/error';

import type { Dimension, Model, Value } from './graph.js';

/** One of the tensors of an example, without the batch dimension. */
export interface SizedInput {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
}

/**
 * The model with every dimension of its inputs but the first (the batch) set to what an example is. A single tensor goes to the single
 * input whatever its name, several go by name. Symbols that get a size get it everywhere.
 * Throws MODEL_UNSUPPORTED where the model takes other inputs, another type or another size.
 */
export function withExampleInputs(model: Model, inputs: readonly SizedInput[]): Model {
  const { graph } = model;
  const [only] = inputs;
  if (only !== undefined && inputs.length === 1 && graph.inputs.length === 1) {
    checkType(graph.inputs[0], only);
    return withExampleShape(model, only.shape);
  }
  const names = (list: readonly { readonly name: string }[]): string => list.map(({ name }) => name).join(', ');
  if (
    inputs.length !== graph.inputs.length ||
    inputs.some(({ name }) => !graph.inputs.some((input) => input.name === name))
  ) {
    throw new GraftError('MODEL_UNSUPPORTED', `the model takes ${names(graph.inputs)}, an example is ${names(inputs)}`);
  }
  const given = new Map(inputs.map((input) => [input.name, input]));
  const sizes = new Map<Dimension, Dimension>();
  for (const value of graph.inputs) {
    const example = given.get(value.name);
    if (example === undefined) continue;
    checkType(value, example);
    for (const [i, size] of declaredSizes(value, example.shape).entries()) {
      const known = sizes.get(size) ?? example.shape[i] ?? size;
      if (known !== example.shape[i]) throw otherSize(value, example.shape);
      sizes.set(size, known);
    }
  }
  const sized = (value: Value): Value =>
    value.shape === undefined
      ? value
      : { ...value, shape: value.shape.map((size, i) => (i === 0 ? size : (sizes.get(size) ?? size))) };
  const resized = graph.inputs.map((value) => ({
    ...value,
    shape: [value.shape?.[0] ?? 'batch', ...(given.get(value.name)?.shape ?? [])],
  }));
  return { ...model, graph: { ...graph, inputs: resized, outputs: graph.outputs.map(sized) } };
}

function checkType(value: Value | undefined, { name, dtype }: SizedInput): void {
  if (value !== undefined && value.dtype !== dtype) {
    throw new GraftError(
      'MODEL_UNSUPPORTED',
      `input '${value.name}' takes ${value.dtype}, '${name}' of an example is ${dtype}`,
    );
  }
}

/** Dimensions behind the batch; symbols of every size where the graph declares none. */
function declaredSizes(value: Value, shape: readonly number[]): readonly Dimension[] {
  if (value.shape === undefined) return shape;
  const declared = value.shape.slice(1);
  const fits =
    declared.length === shape.length && declared.every((size, i) => size === shape[i] || typeof size === 'string');
  if (!fits) throw otherSize(value, shape);
  return declared;
}

function otherSize({ name, shape = [] }: Value, example: readonly number[]): GraftError {
  return new GraftError(
    'MODEL_UNSUPPORTED',
    `input '${name}' takes [${shape.join(', ')}], an example is [${example.join(', ')}]`,
  );
}

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
