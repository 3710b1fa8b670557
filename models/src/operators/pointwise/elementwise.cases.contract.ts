/** For specs: the cases of functions of one tensor whose gradients are compared, and their float64 references. */
import { erf, unary, type References } from '../array64.contract.js';
import { positive, type GradientCase } from '../central-differences.contract.js';

const anywhere = ['Neg', 'Abs', 'Exp', 'Erf', 'Identity', 'Sin', 'Cos', 'Atan', 'Sinh', 'Cosh', 'Asinh'];
const stepwise = ['Sign', 'Floor', 'Ceil', 'Round'];

export const elementwiseCases: readonly GradientCase[] = [
  ...[...anywhere, ...stepwise].map((op) => ({ op, shapes: [[3, 4]] })),
  ...['Log', 'Sqrt', 'Reciprocal'].map((op) => ({ op, shapes: [[3, 4]], range: positive })),
  ...['Asin', 'Acos', 'Atanh', 'Tan'].map((op) => ({ op, shapes: [[3, 4]], range: [-0.9, 0.9] as const })),
  { op: 'Acosh', shapes: [[3, 4]], range: [1.2, 4] },
  { op: 'Exp', shapes: [[3, 4]], symbols: { 0: ['batch', 'features'] } },
  { op: 'Neg', shapes: [[]], linear: true },
  { op: 'Cast', shapes: [[3, 4]], attributes: { to: 1 }, linear: true },
  { op: 'CastLike', shapes: [[3, 4], [1]], frozen: [1], linear: true },
  { op: 'Dropout', shapes: [[3, 4]], linear: true },
];

/** Halves do not occur. */
const round = (x: number): number => Math.round(x);

export const elementwiseReferences: References = {
  Identity: unary((x) => x),
  Cast: unary((x) => x),
  CastLike: unary((x) => x),
  Dropout: unary((x) => x),
  Neg: unary((x) => -x),
  Abs: unary(Math.abs),
  Exp: unary(Math.exp),
  Log: unary(Math.log),
  Sqrt: unary(Math.sqrt),
  Reciprocal: unary((x) => 1 / x),
  Erf: unary(erf),
  Sign: unary(Math.sign),
  Floor: unary(Math.floor),
  Ceil: unary(Math.ceil),
  Round: unary(round),
  Sin: unary(Math.sin),
  Cos: unary(Math.cos),
  Tan: unary(Math.tan),
  Asin: unary(Math.asin),
  Acos: unary(Math.acos),
  Atan: unary(Math.atan),
  Sinh: unary(Math.sinh),
  Cosh: unary(Math.cosh),
  Asinh: unary(Math.asinh),
  Acosh: unary(Math.acosh),
  Atanh: unary(Math.atanh),
};
