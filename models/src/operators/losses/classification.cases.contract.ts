/** For specs: the cases of classification losses whose gradients are compared, and their float64 references. */
import type { Node } from '../../graph/graph.js';
import { make, none, pick, sum, type Array64, type References } from '../array64.contract.js';
import { constant, positive, type ConstantInput, type GradientCase } from '../central-differences.contract.js';
import { intOf, stringOf } from '../site.js';
import { softmax } from './softmax.cases.contract.js';

const reductions = ['none', 'mean', 'sum'];
const labels = constant('int64', [4], [0, 2, 1, 2]);
const weights = constant('float32', [3], [0.5, 2, 1.25]);
const pixels: ConstantInput = constant('int32', [2, 2, 3], [0, 2, 1, 2, 3, 0, 1, 1, 3, 2, 0, 2]);

const both = (rest: Omit<GradientCase, 'op'>): GradientCase[] =>
  ['NegativeLogLikelihoodLoss', 'SoftmaxCrossEntropyLoss'].map((op) => ({ op, ...rest }));

export const classificationLossCases: readonly GradientCase[] = [
  ...reductions.flatMap((reduction) => [
    ...both({ shapes: [[4, 3]], constants: { 1: labels }, attributes: { reduction } }),
    ...both({ shapes: [[4, 3]], constants: { 1: labels, 2: weights }, attributes: { reduction } }),
    ...both({ shapes: [[2, 4, 2, 3]], constants: { 1: pixels }, attributes: { reduction, ignore_index: 3 } }),
    ...both({
      shapes: [[4, 3]],
      constants: { 1: constant('int64', [4], [0, -100, 1, 2]), 2: weights },
      attributes: { reduction, ignore_index: -100 },
    }),
  ]),
  ...reductions.flatMap((reduction) =>
    both({
      shapes: [[2, 4, 2, 3], [], [4]],
      constants: { 1: pixels },
      range: positive,
      attributes: { reduction, ignore_index: 3 },
      note: 'by the class weights too',
    }),
  ),
  ...both({ shapes: [[4, 3], [], [3]], constants: { 1: labels }, range: positive, note: 'by the class weights too' }),
  ...both({ shapes: [[4, 3]], constants: { 1: labels }, symbols: { 0: ['batch', 3] } }),
  { op: 'SoftmaxCrossEntropyLoss', shapes: [[4, 3]], constants: { 1: labels }, outputs: 2, range: positive },
  { op: 'SoftmaxCrossEntropyLoss', shapes: [[4, 3]], constants: { 1: labels }, outputs: 2, projected: [1] },
];

/** -w log p at each label, reduced; `likelihoods` are the log p. */
function loss(
  node: Node,
  likelihoods: Array64,
  [, truth = none, importance]: readonly (Array64 | undefined)[],
): Array64 {
  const ignored = node.attributes['ignore_index'] === undefined ? NaN : intOf(node, 'ignore_index', 0);
  const weightOf = (label: number): number => (label === ignored ? 0 : (importance?.data[label] ?? 1));
  const each = make(truth.shape, ([n = 0, ...rest]) => {
    const label = pick(truth, [n, ...rest]);
    return weightOf(label) === 0 ? 0 : -weightOf(label) * pick(likelihoods, [n, label, ...rest]);
  });
  const reduction = stringOf(node, 'reduction', 'mean');
  if (reduction === 'none') return each;
  const divisor = reduction === 'mean' ? sum(truth.data.map(weightOf)) : 1;
  return { shape: [], data: [sum(each.data) / divisor] };
}

export const classificationLossReferences: References = {
  NegativeLogLikelihoodLoss: (node, inputs) => loss(node, inputs[0] ?? none, inputs),
  SoftmaxCrossEntropyLoss: (node, inputs) => {
    const { shape, data } = softmax({ ...node, attributes: {} }, inputs[0] ?? none, 1);
    const logarithms = { shape, data: data.map(Math.log) };
    const result = loss(node, logarithms, inputs);
    return node.outputs.length > 1 ? [result, logarithms] : result;
  },
};
