/** Activation functions, each with its derivative: https://onnx.ai/onnx/operators/ */
import { maskOf } from './broadcast.js';
import { elementwise, sameType } from './elementwise.js';
import { operator, sizeOf, type OperatorRows } from './operator.js';
import { floatOf, notDifferentiable, stringOf } from './site.js';

export const activationOperators: OperatorRows = {
  Relu: elementwise(({ y, dy, build }) =>
    build.add('Mul', [dy, maskOf(build.add('Greater', [y, build.scalar(0, y)]), dy, build)]),
  ),
  /** dy where x > 0, else alpha dy */
  LeakyRelu: elementwise(({ x, dy, build, site: { node } }) => {
    const slope = build.add('Mul', [dy, build.scalar(floatOf(node, 'alpha', 0.01), dy)]);
    return build.add('Where', [build.add('Greater', [x, build.scalar(0, x)]), dy, slope]);
  }),
  /** dy (y - y^2) */
  Sigmoid: elementwise(
    ({ y, dy, build }) => build.add('Mul', [dy, build.add('Sub', [y, build.add('Mul', [y, y])])]),
    10,
  ),
  /** dy - dy y^2 */
  Tanh: elementwise(({ y, dy, build }) => build.add('Sub', [dy, build.add('Mul', [dy, build.add('Mul', [y, y])])]), 10),
  Softplus: elementwise(({ x, dy, build }) => build.add('Mul', [dy, build.add('Sigmoid', [x])]), 20),
  /** alpha dy where 0 < y < 1 */
  HardSigmoid: elementwise(({ y, dy, build, site: { node } }) => {
    const inside = build.add('And', [
      build.add('Greater', [y, build.scalar(0, y)]),
      build.add('Less', [y, build.scalar(1, y)]),
    ]);
    const slope = build.scalar(floatOf(node, 'alpha', 0.2), dy);
    return build.add('Mul', [build.add('Mul', [dy, slope]), maskOf(inside, dy, build)]);
  }, 3),
  /** y = x h, h = hardsigmoid(x; 1/6, 1/2): dx = dy (h + x/6 where 0 < h < 1) */
  HardSwish: elementwise(({ x, dy, build }) => {
    const h = build.add('HardSigmoid', [x], { alpha: { float: 1 / 6 }, beta: { float: 0.5 } });
    const inside = build.add('Less', [build.add('Abs', [x]), build.scalar(3, x)]);
    const ramp = build.add('Mul', [build.add('Mul', [x, build.scalar(1 / 6, x)]), maskOf(inside, dy, build)]);
    return build.add('Mul', [dy, build.add('Add', [h, ramp])]);
  }, 5),
  /** y = x Phi(x), exactly: dx = dy (Phi(x) + x phi(x)) */
  Gelu: elementwise(({ x, dy, build, site: { node } }) => {
    if (stringOf(node, 'approximate', 'none') !== 'none')
      throw notDifferentiable(node, 'is the approximation by tanh, which has no gradient here');
    const scaled = build.add('Mul', [x, build.scalar(Math.SQRT1_2, x)]);
    const phi = build.add('Add', [
      build.add('Mul', [build.add('Erf', [scaled]), build.scalar(0.5, x)]),
      build.scalar(0.5, x),
    ]);
    const bell = build.add('Exp', [build.add('Neg', [build.add('Mul', [scaled, scaled])])]);
    const density = build.add('Mul', [build.add('Mul', [x, bell]), build.scalar(1 / Math.sqrt(2 * Math.PI), x)]);
    return build.add('Mul', [dy, build.add('Add', [phi, density])]);
  }, 20),
  /** dy where the bounds leave x as it is. The bounds are constants. */
  Clip: operator({
    infer: sameType,
    gradient: ({ node, outputGradients: [dy] }, build) => {
      const [x = ''] = node.inputs;
      const [y = ''] = node.outputs;
      return dy === undefined ? [] : [build.add('Mul', [dy, maskOf(build.add('Equal', [x, y]), dy, build)])];
    },
    flops: (_, [y]) => 2 * sizeOf(y),
  }),
};
