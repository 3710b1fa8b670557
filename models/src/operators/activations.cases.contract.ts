/** For specs: the cases of activations whose gradients are compared, and their float64 references. */
import { clip, erf, none, unary, type References } from './array64.contract.js';
import { constant, type GradientCase } from './central-differences.contract.js';
import { floatOf } from './site.js';

const names = ['Relu', 'LeakyRelu', 'Sigmoid', 'Tanh', 'Softplus', 'HardSigmoid', 'HardSwish', 'Gelu'];

export const activationsCases: readonly GradientCase[] = [
  ...names.map((op) => ({ op, shapes: [[3, 4]] })),
  {
    op: 'Clip',
    shapes: [[3, 4]],
    constants: { 1: constant('float32', [], [-1]), 2: constant('float32', [], [1]) },
  },
];

export const activationsReferences: References = {
  Relu: unary((x) => Math.max(x, 0)),
  LeakyRelu: unary((x, node) => (x > 0 ? x : x * floatOf(node, 'alpha', 0.01))),
  Sigmoid: unary((x) => 1 / (1 + Math.exp(-x))),
  Tanh: unary(Math.tanh),
  Softplus: unary((x) => Math.log(1 + Math.exp(x))),
  HardSigmoid: unary((x, node) => clip(floatOf(node, 'alpha', 0.2) * x + floatOf(node, 'beta', 0.5), 0, 1)),
  HardSwish: unary((x) => (x * clip(x + 3, 0, 6)) / 6),
  Gelu: unary((x) => (x / 2) * (1 + erf(x / Math.SQRT2))),
  Clip: (_, [x = none, low, high]) => ({
    ...x,
    data: x.data.map((each) => clip(each, low?.data[0] ?? -Infinity, high?.data[0] ?? Infinity)),
  }),
};
