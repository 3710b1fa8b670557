/** For specs: the cases of reductions whose gradients are compared, and their float64 references. */
import { mean, reduce, sum, type References } from './array64.contract.js';
import { ints, type GradientCase } from './central-differences.contract.js';

export const reductionsCases: readonly GradientCase[] = [
  ...['ReduceSum', 'ReduceMean', 'ReduceMax', 'ReduceMin'].flatMap((op): GradientCase[] => [
    { op, shapes: [[2, 3, 4]], constants: { 1: ints(1) }, attributes: { keepdims: 0 } },
    { op, shapes: [[2, 3, 4]], constants: { 1: ints(0, -1) }, attributes: { keepdims: 1 } },
  ]),
];

export const reductionsReferences: References = {
  ReduceSum: reduce(sum),
  ReduceMean: reduce(mean),
  ReduceMax: reduce((values) => Math.max(...values)),
  ReduceMin: reduce((values) => Math.min(...values)),
};
