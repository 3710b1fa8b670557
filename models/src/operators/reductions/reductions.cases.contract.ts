/** For specs: the cases of reductions whose gradients are compared, and their float64 references. */
import { make, mean, none, pick, reduce, sum, type References } from '../array64.contract.js';
import { ints, positive, type GradientCase } from '../central-differences.contract.js';
import { intOf } from '../site.js';

const linear = new Set(['ReduceSum', 'ReduceMean']);
const ofLogarithms = new Set(['ReduceLogSum']);

const reductions = [
  'ReduceSum',
  'ReduceMean',
  'ReduceMax',
  'ReduceMin',
  'ReduceProd',
  'ReduceL1',
  'ReduceL2',
  'ReduceSumSquare',
  'ReduceLogSum',
  'ReduceLogSumExp',
];

export const reductionsCases: readonly GradientCase[] = [
  ...reductions.flatMap((op): GradientCase[] => {
    const same = { op, linear: linear.has(op), ...(ofLogarithms.has(op) && { range: positive }) };
    return [
      { ...same, shapes: [[2, 3, 4]], constants: { 1: ints(1) }, attributes: { keepdims: 0 } },
      { ...same, shapes: [[2, 3, 4]], constants: { 1: ints(0, -1) }, attributes: { keepdims: 1 } },
      { ...same, shapes: [[3, 4]], attributes: { keepdims: 0 }, note: 'of everything' },
      { ...same, shapes: [[2, 3, 4]], constants: { 1: ints(1, 2) }, symbols: { 0: ['batch', 'rows', 4] } },
      {
        ...same,
        shapes: [[2, 3, 4]],
        constants: { 1: ints(-2) },
        attributes: { keepdims: 0 },
        symbols: { 0: ['batch', 'rows', 'columns'] },
      },
    ];
  }),
  { op: 'ReduceSum', shapes: [[2, 3]], attributes: { noop_with_empty_axes: 1 }, linear: true },
  ...[0, 1].flatMap((reverse) =>
    [0, 1].map((exclusive) => ({
      op: 'CumSum',
      shapes: [[2, 3, 4]],
      constants: { 1: ints(1) },
      attributes: { reverse, exclusive },
      linear: true,
    })),
  ),
];

export const reductionsReferences: References = {
  ReduceSum: (node, inputs) =>
    intOf(node, 'noop_with_empty_axes', 0) === 1 ? (inputs[0] ?? none) : reduce(sum)(node, inputs),
  ReduceMean: reduce(mean),
  ReduceMax: reduce((values) => Math.max(...values)),
  ReduceMin: reduce((values) => Math.min(...values)),
  ReduceProd: reduce((values) => values.reduce((product, each) => product * each, 1)),
  ReduceL1: reduce((values) => sum(values.map(Math.abs))),
  ReduceL2: reduce((values) => Math.hypot(...values)),
  ReduceSumSquare: reduce((values) => sum(values.map((each) => each * each))),
  ReduceLogSum: reduce((values) => Math.log(sum(values))),
  ReduceLogSumExp: reduce((values) => Math.log(sum(values.map(Math.exp)))),
  CumSum: (node, [x = none, axes = none]) => {
    const axis = axes.data[0] ?? 0;
    const [reverse, exclusive] = [intOf(node, 'reverse', 0) === 1, intOf(node, 'exclusive', 0) === 1];
    return make(x.shape, (place) => {
      const own = place[axis] ?? 0;
      const counts = (other: number): boolean => {
        if (other === own) return !exclusive;
        return reverse ? other > own : other < own;
      };
      const others = [...Array(x.shape[axis] ?? 0).keys()].filter(counts);
      return sum(others.map((other) => pick(x, place.with(axis, other))));
    });
  },
};
