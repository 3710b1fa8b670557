/** Small graphs for the specs of folding and quantization, and what two models give for the same input. */
import { random } from '@graft/core/random';
import { elementCount, tensor, type Tensor } from '@graft/core/tensor';

import type { Attribute, Dimension, Model, Node } from '../graph/graph.js';
import { onnxRuntime } from '../runtime/onnxruntime.adapter.js';

export type Layer = readonly [
  op: string,
  inputs: string,
  output: string,
  attributes?: Record<string, number | readonly number[]>,
];

export interface Network {
  readonly input: readonly Dimension[];
  readonly layers: readonly Layer[];
  readonly weights: Readonly<Record<string, Tensor>>;
  /** The last layer's by default. */
  readonly outputs?: readonly string[];
}

const floats = new Set(['alpha', 'beta', 'epsilon']);

function attribute(name: string, value: number | readonly number[]): Attribute {
  if (typeof value !== 'number') return { kind: 'ints', value };
  return { kind: floats.has(name) ? 'float' : 'int', value };
}

/** A model with the input 'x'; inputs of a layer are separated by spaces, and nodes are called after their outputs. */
export function network({ input, layers, weights, outputs }: Network): Model {
  const nodes = layers.map(([op, inputs, output, attributes = {}]): Node => ({
    name: `node ${output}`,
    op,
    domain: '',
    inputs: inputs.split(' '),
    outputs: [output],
    attributes: Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, attribute(name, value)])),
  }));
  return {
    graph: {
      name: 'network',
      inputs: [{ name: 'x', dtype: 'float32', shape: input }],
      outputs: (outputs ?? [layers.at(-1)?.[2] ?? '']).map((name) => ({ name, dtype: 'float32' })),
      weights: Object.entries(weights).map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
      nodes,
    },
    weights: new Map(Object.entries(weights)),
  };
}

/** Normal numbers times `spread`. */
export function noise(seed: number, shape: readonly number[], spread = 1): Tensor<'float32'> {
  const source = random(seed);
  return tensor(
    'float32',
    shape,
    Float32Array.from({ length: elementCount(shape) }, () => source.normal() * spread),
  );
}

export function scalar(value: number): Tensor<'float32'> {
  return tensor('float32', [1], Float32Array.of(value));
}

/** The model's first output; 'training' leaves QuantizeLinear and DequantizeLinear as they are, 'inference' fuses them. */
export async function answer(
  model: Model,
  x: Tensor<'float32'>,
  purpose: 'inference' | 'training' = 'inference',
): Promise<Float32Array> {
  const session = await onnxRuntime.load(model, { threads: 1, purpose });
  const fetches = await session.run({ x });
  await session.dispose();
  const value = fetches[model.graph.outputs[0]?.name ?? ''];
  if (value?.dtype !== 'float32') throw new RangeError('the model has no float32 output');
  return value.data;
}

/** |a - b| / |a| */
export function relativeError(a: Float32Array, b: Float32Array): number {
  const norm = (pick: (i: number) => number): number => Math.hypot(...Array.from(a, (_, i) => pick(i)));
  return a.length === b.length ? norm((i) => (a[i] ?? 0) - (b[i] ?? 0)) / norm((i) => a[i] ?? 0) : Infinity;
}

/** How many nodes of each operator a model has. */
export function operatorsOf({ graph }: Model): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { op } of graph.nodes) counts[op] = (counts[op] ?? 0) + 1;
  return counts;
}
