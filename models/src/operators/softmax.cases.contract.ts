/** For specs: the cases of softmax and its kin whose gradients are compared, and their float64 references. */
import { rows, sum, type References } from './array64.contract.js';
import { type GradientCase } from './central-differences.contract.js';

export const softmaxCases: readonly GradientCase[] = [
  { op: 'Softmax', shapes: [[2, 3, 5]] },
  { op: 'LogSoftmax', shapes: [[4, 5]] },
];

const softmax = (values: readonly number[]): number[] => {
  const total = sum(values.map(Math.exp));
  return values.map((each) => Math.exp(each) / total);
};

export const softmaxReferences: References = {
  Softmax: rows(softmax),
  LogSoftmax: rows((values) => softmax(values).map(Math.log)),
};
