/** For specs: the cases of activations whose gradients are compared, and their float64 references. */
import type { Node } from '../../graph/graph.js';
import { clip, erf, nary, none, unary, type References } from '../array64.contract.js';
import { constant, type GradientCase } from '../central-differences.contract.js';
import { floatOf, stringOf } from '../site.js';

const names = [
  'Relu',
  'LeakyRelu',
  'ThresholdedRelu',
  'Shrink',
  'Sigmoid',
  'Tanh',
  'Softplus',
  'Softsign',
  'Elu',
  'Celu',
  'Selu',
  'HardSigmoid',
  'HardSwish',
  'Gelu',
  'Mish',
];

const scalar = (value: number) => constant('float32', [], [value]);

export const activationsCases: readonly GradientCase[] = [
  ...names.map((op) => ({ op, shapes: [[3, 4]] })),
  ...['LeakyRelu', 'ThresholdedRelu', 'Elu', 'Celu'].map((op) => ({
    op,
    shapes: [[3, 4]],
    attributes: { alpha: { float: 0.3 } },
  })),
  { op: 'LeakyRelu', shapes: [[3, 4]], attributes: { alpha: { float: 1.5 } } },
  { op: 'Selu', shapes: [[3, 4]], attributes: { alpha: { float: 1.5 }, gamma: { float: 0.9 } } },
  { op: 'Shrink', shapes: [[3, 4]], attributes: { lambd: { float: 0.9 }, bias: { float: 0.4 } } },
  { op: 'Gelu', shapes: [[3, 4]], attributes: { approximate: 'tanh' } },
  {
    op: 'PRelu',
    shapes: [
      [2, 3, 4],
      [3, 1],
    ],
  },
  { op: 'PRelu', shapes: [[2, 3, 4], [1]], symbols: { 0: ['batch', 3, 'length'] } },
  { op: 'Clip', shapes: [[3, 4]], constants: { 1: scalar(-1), 2: scalar(1) } },
  { op: 'Clip', shapes: [[3, 4]], constants: { 1: 'left out', 2: scalar(1) } },
  { op: 'Clip', shapes: [[3, 4], [], []], ranges: { 1: [-1.5, -0.5], 2: [0.5, 1.5] }, note: 'by its bounds' },
];

const alpha = (node: Node, otherwise: number): number => floatOf(node, 'alpha', otherwise);

function gelu(x: number, node: Node): number {
  if (stringOf(node, 'approximate', 'none') === 'none') return (x / 2) * (1 + erf(x / Math.SQRT2));
  return (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
}

function shrink(x: number, node: Node): number {
  const [bias, lambda] = [floatOf(node, 'bias', 0), floatOf(node, 'lambd', 0.5)];
  if (x < -lambda) return x + bias;
  return x > lambda ? x - bias : 0;
}

export const activationsReferences: References = {
  Relu: unary((x) => Math.max(x, 0)),
  LeakyRelu: unary((x, node) => (x > 0 ? x : x * alpha(node, 0.01))),
  PRelu: nary((x, slope) => (x > 0 ? x : x * slope)),
  ThresholdedRelu: unary((x, node) => (x > alpha(node, 1) ? x : 0)),
  Shrink: unary(shrink),
  Sigmoid: unary((x) => 1 / (1 + Math.exp(-x))),
  Tanh: unary(Math.tanh),
  Softplus: unary((x) => Math.log(1 + Math.exp(x))),
  Softsign: unary((x) => x / (1 + Math.abs(x))),
  Elu: unary((x, node) => (x > 0 ? x : alpha(node, 1) * (Math.exp(x) - 1))),
  Celu: unary((x, node) => Math.max(x, 0) + Math.min(0, alpha(node, 1) * (Math.exp(x / alpha(node, 1)) - 1))),
  Selu: unary((x, node) => {
    const gamma = floatOf(node, 'gamma', 1.0507010221481323);
    return gamma * (x > 0 ? x : alpha(node, 1.6732631921768188) * (Math.exp(x) - 1));
  }),
  HardSigmoid: unary((x, node) => clip(alpha(node, 0.2) * x + floatOf(node, 'beta', 0.5), 0, 1)),
  HardSwish: unary((x) => (x * clip(x + 3, 0, 6)) / 6),
  Gelu: unary(gelu),
  Mish: unary((x) => x * Math.tanh(Math.log(1 + Math.exp(x)))),
  Clip: (_, [x = none, low, high]) => ({
    ...x,
    data: x.data.map((each) => clip(each, low?.data[0] ?? -Infinity, high?.data[0] ?? Infinity)),
  }),
};
