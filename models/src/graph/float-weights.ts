/**
 * Weights that a file stores as 8-bit integers and scales them when it runs become float32 weights, which can be trained:
 * DequantizeLinear of a constant, and Cast and Mul of one.
 */
import { elementCount, tensor, type Tensor, type Weights } from '@graft/core/tensor';

import { intOf } from '../operators/site.js';
import type { Model, Node } from './graph.js';

/** ONNX's number of float32. */
const float32 = 1;

/** The model without those nodes; their results are weights of the same names. Computed values stay, and other models come back as they are. */
export function withFloatWeights({ graph, weights }: Model): Model {
  const found = new Map<string, Tensor<'float32'>>();
  const nodes = graph.nodes.filter((node) => {
    const value = widened(node, weights, found);
    const [output = ''] = node.outputs;
    if (value !== undefined) found.set(output, value);
    return value === undefined;
  });
  if (found.size === 0) return { graph, weights };
  const read = new Set([...nodes.flatMap(({ inputs }) => inputs), ...graph.outputs.map(({ name }) => name)]);
  const kept = new Map([...weights, ...found].filter(([name]) => read.has(name)));
  const declared = [...kept].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  return { graph: { ...graph, nodes, weights: declared }, weights: kept };
}

/** The value of a node that widens integers of the file; undefined for every other node. */
function widened(
  node: Node,
  weights: Weights,
  found: ReadonlyMap<string, Tensor<'float32'>>,
): Tensor<'float32'> | undefined {
  const [first = '', second = '', third = ''] = node.inputs;
  const stored = weights.get(first);
  switch (node.op) {
    case 'Cast':
      return stored !== undefined && isSmall(stored) && intOf(node, 'to', 0) === float32 ? floats(stored) : undefined;
    case 'DequantizeLinear': {
      const [scale, zero] = [weights.get(second), weights.get(third)];
      if (
        stored === undefined ||
        !isSmall(stored) ||
        scale?.dtype !== 'float32' ||
        (third !== '' && zero === undefined)
      ) {
        return undefined;
      }
      if (intOf(node, 'block_size', 0) !== 0) return undefined;
      const axis = intOf(node, 'axis', 1);
      const shape = alongAxis(scale, axis < 0 ? axis + stored.shape.length : axis, stored.shape.length);
      const shifted =
        zero === undefined ? floats(stored) : combine(floats(stored), { ...floats(zero), shape }, (x, z) => x - z);
      return combine(shifted, { ...scale, shape }, (x, s) => x * s);
    }
    case 'Mul': {
      const values = [first, second].map((name) => found.get(name) ?? weights.get(name));
      const [a, b] = values;
      if (!found.has(first) && !found.has(second)) return undefined;
      return a?.dtype === 'float32' && b?.dtype === 'float32' ? combine(a, b, (x, y) => x * y) : undefined;
    }
    default:
      return undefined;
  }
}

const isSmall = ({ dtype }: Tensor): boolean => dtype === 'int8' || dtype === 'uint8';

function floats({ shape, data }: Tensor): Tensor<'float32'> {
  return tensor('float32', shape, Float32Array.from(data as Iterable<number>, Number));
}

/** A vector as it broadcasts along one axis of a tensor. */
function alongAxis({ shape }: Tensor, axis: number, rank: number): number[] {
  return Array.from({ length: rank }, (_, i) => (i === axis ? elementCount(shape) : 1));
}

/** Element by element, with broadcasting. */
function combine(a: Tensor<'float32'>, b: Tensor<'float32'>, f: (x: number, y: number) => number): Tensor<'float32'> {
  const rank = Math.max(a.shape.length, b.shape.length);
  const sizeOf = (shape: readonly number[], axis: number): number => shape[axis - rank + shape.length] ?? 1;
  const shape = Array.from({ length: rank }, (_, axis) => Math.max(sizeOf(a.shape, axis), sizeOf(b.shape, axis)));
  const place = ({ shape: own }: Tensor, i: number): number => {
    let [rest, at, stride] = [i, 0, 1];
    for (let axis = rank - 1; axis >= 0; axis--) {
      const size = shape[axis] ?? 1;
      if (sizeOf(own, axis) !== 1) at += (rest % size) * stride;
      stride *= sizeOf(own, axis);
      rest = Math.floor(rest / size);
    }
    return at;
  };
  const data = Float32Array.from({ length: elementCount(shape) }, (_, i) =>
    f(a.data[place(a, i)] ?? NaN, b.data[place(b, i)] ?? NaN),
  );
  return tensor('float32', shape, data);
}
