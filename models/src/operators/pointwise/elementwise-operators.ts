/** Functions of one tensor, element by element: https://onnx.ai/onnx/operators/ */
import { elementTypeOf } from '../../formats/onnx/data-types.js';
import type { Dimension } from '../../graph/graph.js';
import { castTo } from '../broadcast.js';
import { elementwise, mappedType, sameType, square, steps, discrete, typed } from '../elementwise.js';
import { knownOf, mappedElements, ofNumber } from '../known.js';
import { operator, view, type Known, type Operator, type OperatorRows, type Site } from '../operator.js';
import { inputOf, intOf, unsupported } from '../site.js';

/** Casts towards zero where the result is whole, as C does; symbols are whole already. */
function castElements(site: Site, dtype: Known['dtype']): Known[] {
  const { shape, elements } = inputOf(site, 0);
  const cast = (each: Dimension): Dimension | undefined => {
    if (typeof each === 'string') return dtype === 'bool' ? undefined : each;
    if (dtype === 'bool') return each === 0 ? 0 : 1;
    return dtype.startsWith('float') ? each : Math.trunc(each);
  };
  return [knownOf(dtype, shape, mappedElements(elements, cast))];
}

function inferCast(site: Site): Known[] {
  const dtype = elementTypeOf(intOf(site.node, 'to', 0));
  if (dtype === undefined) throw unsupported(site.node, 'casts to an element type that is not supported');
  return castElements(site, dtype);
}

const isFloat = (known: Known | undefined): boolean => known?.dtype.startsWith('float') === true;

const cast = (infer: Operator['infer']): Operator =>
  operator({
    infer,
    gradient: ({ inputs: [x], outputs: [y], outputGradients: [dy] }, build) =>
      dy === undefined || x === undefined || !isFloat(x) || !isFloat(y) ? [] : [castTo(dy, x.dtype, build)],
  });

const unchanged = (infer: Operator['infer']): Operator =>
  view({ infer, gradient: ({ outputGradients }) => outputGradients.slice(0, 1) });

/** Steps that leave whole numbers as they are, which symbols are. */
const rounding = (compute: (value: number) => number): Operator =>
  steps(mappedType((each) => (typeof each === 'string' ? each : compute(each))));

/** Halves to the even neighbour. */
function roundToEven(x: number): number {
  const rounded = Math.round(x);
  return Math.abs(x % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

export const elementwiseOperators: OperatorRows = {
  Identity: unchanged((site) => [inputOf(site, 0)]),
  Cast: cast(inferCast),
  CastLike: cast((site) => castElements(site, inputOf(site, 1).dtype)),
  Neg: elementwise(({ dy, build }) => build.add('Neg', [dy]), 1, mappedType(ofNumber((x) => -x))),
  Abs: elementwise(
    ({ x, dy, build }) => build.add('Mul', [dy, build.add('Sign', [x])]),
    1,
    mappedType(ofNumber(Math.abs)),
  ),
  Exp: elementwise(({ y, dy, build }) => build.add('Mul', [dy, y]), 10),
  Log: elementwise(({ x, dy, build }) => build.add('Div', [dy, x]), 10),
  /** dy / 2y */
  Sqrt: elementwise(
    ({ y, dy, build }) => build.add('Div', [build.add('Mul', [dy, build.scalar(0.5, dy)]), y]),
    1,
    mappedType(ofNumber(Math.sqrt)),
  ),
  /** -dy y^2 */
  Reciprocal: elementwise(
    ({ y, dy, build }) => build.add('Neg', [build.add('Mul', [dy, square(y, build)])]),
    1,
    mappedType(ofNumber((x) => 1 / x)),
  ),
  /** dy 2/sqrt(pi) exp(-x^2) */
  Erf: elementwise(({ x, dy, build }) => {
    const bell = build.add('Exp', [build.add('Neg', [square(x, build)])]);
    return build.add('Mul', [build.add('Mul', [dy, bell]), build.scalar(2 / Math.sqrt(Math.PI), dy)]);
  }, 10),
  Sign: steps(mappedType(ofNumber(Math.sign))),
  Floor: rounding(Math.floor),
  Ceil: rounding(Math.ceil),
  Round: rounding(roundToEven),
  IsNaN: discrete(typed('bool')),
  IsInf: discrete(typed('bool')),
  Not: discrete(mappedType(ofNumber((x) => (x === 0 ? 1 : 0)))),
  BitwiseNot: discrete(sameType),
};
