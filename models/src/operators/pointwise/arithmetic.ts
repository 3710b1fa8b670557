/** Arithmetic that broadcasts: https://onnx.ai/onnx/operators/ */
import { broadcastType, castTo, unbroadcast } from '../broadcast.js';
import { differenceOf, floorQuotientOf, productOf, sumOf } from '../dimension.js';
import { chain } from '../elementwise.js';
import type { GraphBuilder } from '../graph-builder.js';
import { operator, sizeOf, type Operator, type OperatorRows, type Site } from '../operator.js';
import { intOf } from '../site.js';
import { binary, foldedType, numbers, sizes, type Derivative, type Fold } from './binary.js';

/** The exponent where it is one number that the graph holds. */
function exponentOf(b: string, build: GraphBuilder): number | undefined {
  const { elements } = build.typeOf(b);
  const [only] = elements ?? [];
  return elements?.length === 1 && typeof only === 'number' ? only : undefined;
}

/** The exponent in the type of the base: it may be an integer. */
const asBase = (b: string, a: string, build: GraphBuilder): string =>
  build.typeOf(b).dtype === build.typeOf(a).dtype ? b : castTo(b, build.typeOf(a).dtype, build);

/** p x^(p-1) dy; without Pow for the usual exponents, which is slow and not a number below zero in some runtimes. */
const powByBase: Derivative = ({ a, b, y, dy, build }) => {
  const times = (...factors: string[]): string => chain('Mul', [dy, ...factors], build);
  const number = (value: number): string => build.scalar(value, dy);
  switch (exponentOf(b, build)) {
    case 0:
      return undefined;
    case 0.5:
      return build.add('Div', [times(number(0.5)), y]);
    case 1:
      return dy;
    case 2:
      return times(a, number(2));
    case 3:
      return times(a, a, number(3));
    default: {
      const exponent = asBase(b, a, build);
      return times(exponent, build.add('Pow', [a, build.add('Sub', [exponent, number(1)])]));
    }
  }
};

/** dy y ln x where x > 0, else 0. */
const powByExponent: Derivative = ({ a, y, dy, build }) => {
  const positive = build.add('Greater', [a, build.scalar(0, a)]);
  const logarithm = build.add('Log', [build.add('Where', [positive, a, build.scalar(1, a)])]);
  return chain('Mul', [dy, y, logarithm], build);
};

/** The quotient of integers has no fraction; sizes are not negative. */
const quotient: Fold = (a, b, dtype) =>
  dtype.startsWith('float')
    ? numbers((x, y) => x / y)(a, b, dtype)
    : sizes(floorQuotientOf, (x, y) => Math.trunc(x / y))(a, b, dtype);

/** x mod y with the sign of y (integers), or of x (fmod): both are x less a whole number of y. */
const remainder = ({ node }: Site): ((a: number, b: number) => number) =>
  intOf(node, 'fmod', 0) === 1 ? (a, b) => a % b : (a, b) => a - b * Math.floor(a / b);

/** -dy trunc(a / b) */
const modByDivisor: Derivative = ({ a, b, dy, build }) => {
  const ratio = build.add('Div', [a, b]);
  const whole = build.add('Mul', [build.add('Sign', [ratio]), build.add('Floor', [build.add('Abs', [ratio])])]);
  return build.add('Neg', [build.add('Mul', [dy, whole])]);
};

/** Any number of operands, each with a share of dy. */
const total = (share: (count: number) => number): Operator =>
  operator({
    infer: (site) => [broadcastType(site, [...site.node.inputs.keys()])],
    gradient: ({ node, outputGradients: [dy], wants }, build) => {
      if (dy === undefined) return [];
      const factor = share(node.inputs.length);
      const part = factor === 1 ? dy : build.add('Mul', [dy, build.scalar(factor, dy)]);
      return node.inputs.map((name, i) => (wants(i) ? unbroadcast(part, name, build) : undefined));
    },
    flops: ({ inputs }, [y]) => inputs.length * sizeOf(y),
  });

export const arithmeticOperators: OperatorRows = {
  Add: binary(
    ({ dy }) => dy,
    ({ dy }) => dy,
    sizes(
      (a, b) => sumOf([a, b]),
      (a, b) => a + b,
    ),
  ),
  Sub: binary(
    ({ dy }) => dy,
    ({ dy, build }) => build.add('Neg', [dy]),
    sizes(differenceOf, (a, b) => a - b),
  ),
  Mul: binary(
    ({ b, dy, build }) => build.add('Mul', [dy, b]),
    ({ a, dy, build }) => build.add('Mul', [dy, a]),
    sizes(
      (a, b) => productOf([a, b]),
      (a, b) => a * b,
    ),
  ),
  Div: binary(
    ({ b, dy, build }) => build.add('Div', [dy, b]),
    ({ b, y, dy, build }) => build.add('Neg', [build.add('Div', [build.add('Mul', [dy, y]), b])]),
    quotient,
  ),
  Pow: {
    ...binary(powByBase, powByExponent),
    infer: (site) => [
      foldedType(
        site,
        numbers((a, b) => a ** b),
        site.inputs[0]?.dtype,
      ),
    ],
  },
  Mod: {
    ...binary(({ dy }) => dy, modByDivisor),
    infer: (site) => [foldedType(site, numbers(remainder(site)))],
  },
  Sum: total(() => 1),
  Mean: total((count) => 1 / count),
};
