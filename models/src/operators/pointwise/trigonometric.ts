/** Trigonometric and hyperbolic functions and their inverses: https://onnx.ai/onnx/operators/onnx__Sin.html */
import { elementwise, square, type Values } from '../elementwise.js';
import type { Operator, OperatorRows } from '../operator.js';

/** Operations of such a function, roughly. */
const flops = 15;

/** dx = dy f'(x) */
const times = (factor: (values: Values) => string): Operator =>
  elementwise((values) => values.build.add('Mul', [values.dy, factor(values)]), flops);

/** dx = dy / g(x) */
const over = (divisor: (values: Values) => string): Operator =>
  elementwise((values) => values.build.add('Div', [values.dy, divisor(values)]), flops);

const negated =
  (factor: (values: Values) => string) =>
  (values: Values): string =>
    values.build.add('Neg', [factor(values)]);

const of =
  (op: string) =>
  ({ x, build }: Values): string =>
    build.add(op, [x]);

/** sqrt(1 - x^2) */
const cosineOfArc = ({ x, build }: Values): string =>
  build.add('Sqrt', [build.add('Sub', [build.scalar(1, x), square(x, build)])]);

/** x^2 + added */
const squarePlus =
  (added: number) =>
  ({ x, build }: Values): string =>
    build.add('Add', [square(x, build), build.scalar(added, x)]);

const root =
  (value: (values: Values) => string) =>
  (values: Values): string =>
    values.build.add('Sqrt', [value(values)]);

export const trigonometricOperators: OperatorRows = {
  Sin: times(of('Cos')),
  Cos: times(negated(of('Sin'))),
  /** 1 + y^2 */
  Tan: times(({ y, build }) => build.add('Add', [square(y, build), build.scalar(1, y)])),
  Asin: over(cosineOfArc),
  Acos: over(negated(cosineOfArc)),
  Atan: over(squarePlus(1)),
  Sinh: times(of('Cosh')),
  Cosh: times(of('Sinh')),
  Asinh: over(root(squarePlus(1))),
  Acosh: over(root(squarePlus(-1))),
  /** 1 - x^2 */
  Atanh: over(negated(squarePlus(-1))),
};
