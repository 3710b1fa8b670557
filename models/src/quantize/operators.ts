/**
 * What the quantizer knows of each operator, by what ONNX Runtime's CPU kernels can do with 8-bit values
 * (onnxruntime, core/optimizer/qdq_transformer/selectors_actions). An operator that is not here stays in float32.
 */
import type { Node } from '../graph/graph.js';
import type { Draft } from './draft.js';

/**
 * - linear: products with constant weights, where the time is; everything else is quantized only to keep its neighbours in 8 bits
 * - elementwise: Add, Mul, LeakyRelu, Sigmoid, average pools, Concat: another range than their inputs
 * - same: moves or selects values, so the output has the scale of the input
 * - gate: HardSigmoid, which in 8 bits is an addition that saturates at 0 and 1
 * - absorbed: Relu and Clip after an operator whose output they alone read: saturation does their work
 */
export type Role = 'linear' | 'elementwise' | 'same' | 'gate' | 'absorbed';

const roles: Readonly<Record<string, Role>> = {
  Conv: 'linear',
  Gemm: 'linear',
  MatMul: 'linear',
  Add: 'elementwise',
  Mul: 'elementwise',
  LeakyRelu: 'elementwise',
  Sigmoid: 'elementwise',
  AveragePool: 'elementwise',
  GlobalAveragePool: 'elementwise',
  Concat: 'elementwise',
  MaxPool: 'same',
  Reshape: 'same',
  Flatten: 'same',
  Transpose: 'same',
  Squeeze: 'same',
  Unsqueeze: 'same',
  HardSigmoid: 'gate',
  Relu: 'absorbed',
  Clip: 'absorbed',
};

/** The node's role as far as the node itself decides; undefined for one that stays in float32. */
export function roleOf(draft: Draft, node: Node): Role | undefined {
  const role = node.domain === '' && Object.hasOwn(roles, node.op) ? roles[node.op] : undefined;
  if (role === undefined || node.outputs.length !== 1) return undefined;
  const inputs = activationsOf(draft, node);
  const [input] = inputs;
  if (input === undefined) return undefined;
  switch (role) {
    case 'linear':
      return inputs.length === 1 && input === node.inputs[0] && isLinear(draft, node) ? role : undefined;
    case 'absorbed': {
      const { low, high } = boundsOf(draft, node) ?? { low: 1, high: -1 };
      return low <= 0 && high >= 0 && draft.isPrivate(input, node) ? role : undefined;
    }
    case 'gate':
      return gateOf(node).slope > 0 ? role : undefined;
    case 'elementwise':
      return node.inputs.every((name) => inputs.includes(name) || hasValues(draft, name)) ? role : undefined;
    case 'same':
      return input === node.inputs[0] ? role : undefined;
    default:
      return role satisfies never;
  }
}

/** Inputs that are computed while the model runs. */
export function activationsOf(draft: Draft, node: Node): string[] {
  return node.inputs.filter((name) => name !== '' && draft.weight(name) === undefined);
}

function hasValues(draft: Draft, name: string): boolean {
  const constant = draft.constant(name);
  return constant !== undefined && constant.data.length > 0 && constant.data.every(Number.isFinite);
}

function isLinear(draft: Draft, node: Node): boolean {
  const weight = draft.constant(node.inputs[1]);
  const hasBias = (node.inputs[2] ?? '') !== '';
  const bias = draft.constant(node.inputs[2]);
  if (weight === undefined || weight.data.length === 0 || (hasBias && bias === undefined)) return false;
  if (node.op === 'Conv') return true;
  if (weight.shape.length !== 2) return false;
  const channels = weight.shape[weightAxis(node)];
  if (bias !== undefined && (bias.shape.length !== 1 || bias.shape[0] !== channels)) return false;
  const { attributes } = node;
  return (
    attributes['transA']?.value !== 1 && [attributes['alpha'], attributes['beta']].every((a) => (a?.value ?? 1) === 1)
  );
}

/** The axis of a linear node's weights along which its output channels lie. */
export function weightAxis({ op, attributes }: Node): number {
  return op === 'Conv' || (op === 'Gemm' && attributes['transB']?.value === 1) ? 0 : 1;
}

/** What Relu and Clip let through; undefined where the bounds are not constants. */
export function boundsOf(draft: Draft, node: Node): { readonly low: number; readonly high: number } | undefined {
  if (node.op === 'Relu') return { low: 0, high: Infinity };
  const bound = (name: string | undefined, absent: number): number =>
    (name ?? '') === '' ? absent : (draft.constant(name)?.data[0] ?? NaN);
  const [low, high] = [bound(node.inputs[1], -Infinity), bound(node.inputs[2], Infinity)];
  return Number.isNaN(low) || Number.isNaN(high) ? undefined : { low, high };
}

/** HardSigmoid is max(0, min(1, slope x + offset)). */
export function gateOf({ attributes }: Node): { readonly slope: number; readonly offset: number } {
  const number = (name: string, absent: number): number => {
    const value = attributes[name]?.value;
    return typeof value === 'number' ? value : absent;
  };
  return { slope: number('alpha', 0.2), offset: number('beta', 0.5) };
}

/** True for a convolution of each channel by itself. */
export function isDepthwise(node: Node, weightShape: readonly number[]): boolean {
  const group = node.attributes['group']?.value ?? 1;
  return node.op === 'Conv' && group !== 1 && group === weightShape[0] && weightShape[1] === 1;
}
