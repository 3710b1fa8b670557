/** For specs: the cases of functions of one tensor whose gradients are compared, and their float64 references. */
import { erf, unary, type References } from './array64.contract.js';
import { positive, type GradientCase } from './central-differences.contract.js';

const anywhere = ['Neg', 'Abs', 'Exp', 'Erf', 'Identity'];

export const elementwiseCases: readonly GradientCase[] = [
  ...anywhere.map((op) => ({ op, shapes: [[3, 4]] })),
  ...['Log', 'Sqrt', 'Reciprocal'].map((op) => ({ op, shapes: [[3, 4]], range: positive })),
  { op: 'Cast', shapes: [[3, 4]], attributes: { to: 1 }, linear: true },
  { op: 'Dropout', shapes: [[3, 4]], linear: true },
];

export const elementwiseReferences: References = {
  Identity: unary((x) => x),
  Cast: unary((x) => x),
  Dropout: unary((x) => x),
  Neg: unary((x) => -x),
  Abs: unary(Math.abs),
  Exp: unary(Math.exp),
  Log: unary(Math.log),
  Sqrt: unary(Math.sqrt),
  Reciprocal: unary((x) => 1 / x),
  Erf: unary(erf),
};
