/** Nodes that are y = scale * x + shift with constants, one pair a channel or one for all. */
import type { Tensor } from '@graft/core/tensor';

import type { Node } from '../graph/graph.js';
import type { Draft } from './draft.js';

export interface Affine {
  /** The value x. */
  readonly input: string;
  /** One element, or one a channel. */
  readonly scale: readonly number[];
  readonly shift: readonly number[];
}

/**
 * The node as an affine map over axis 1 of a value with `rank` axes; undefined where it is none. Mul, Add, Sub, Div with a
 * constant that broadcasts over that axis only, and BatchNormalization in inference.
 */
export function affineOf(draft: Draft, node: Node, rank: number): Affine | undefined {
  if (node.domain !== '' || node.outputs.length !== 1) return undefined;
  if (node.op === 'BatchNormalization') return batchNormalization(draft, node);
  const [left = '', right = ''] = node.inputs;
  const constant = draft.constant(right);
  const first = constant === undefined;
  const values = perChannel(constant ?? draft.constant(left), rank);
  // Two constants are a constant, which is not ours to fold.
  if (values === undefined || (!first && draft.weight(left) !== undefined)) return undefined;
  const input = first ? right : left;
  switch (node.op) {
    case 'Mul':
      return { input, scale: values, shift: [0] };
    case 'Add':
      return { input, scale: [1], shift: values };
    case 'Sub':
      return first
        ? { input, scale: [-1], shift: values }
        : { input, scale: [1], shift: values.map((value) => -value) };
    case 'Div':
      return first ? undefined : { input, scale: values.map((value) => 1 / value), shift: [0] };
  }
  return undefined;
}

/** https://onnx.ai/onnx/operators/onnx__BatchNormalization.html */
function batchNormalization(draft: Draft, node: Node): Affine | undefined {
  const [input, ...names] = node.inputs;
  const [gamma, beta, mean, variance] = names.map((name) => draft.constant(name)?.data);
  if (input === undefined || !gamma || !beta || !mean || !variance) return undefined;
  if (node.attributes['training_mode']?.value === 1) return undefined;
  const epsilon = node.attributes['epsilon']?.value;
  const floor = typeof epsilon === 'number' ? epsilon : 1e-5;
  const scale = Array.from(gamma, (value, i) => value / Math.sqrt((variance[i] ?? 0) + floor));
  const shift = Array.from(beta, (value, i) => value - (mean[i] ?? 0) * (scale[i] ?? 0));
  return { input, scale, shift };
}

/** The numbers of a constant that differs along axis 1 of `rank` axes at most. */
function perChannel(constant: Tensor<'float32'> | undefined, rank: number): number[] | undefined {
  if (constant === undefined || constant.shape.length > rank) return undefined;
  const axisOfFirst = rank - constant.shape.length;
  const fits = constant.shape.every((size, i) => size === 1 || axisOfFirst + i === 1);
  return fits && constant.data.length > 0 ? [...constant.data] : undefined;
}
