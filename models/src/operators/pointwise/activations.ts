/** Activation functions, each with its derivative: https://onnx.ai/onnx/operators/ */
import { maskOf, unbroadcast } from '../broadcast.js';
import { chain, elementwise, sameType, square, type Values } from '../elementwise.js';
import type { GraphBuilder } from '../graph-builder.js';
import { operator, sizeOf, type GradientSite, type OperatorRows, type Site } from '../operator.js';
import { floatOf, stringOf } from '../site.js';

const alphaOf = ({ node }: Site, otherwise: number): number => floatOf(node, 'alpha', otherwise);

/** dx = dy where `op` holds between `value` and a number, else 0. */
function kept(op: string, [value, bound]: readonly [string, number], { dy, build }: Values): string {
  return build.add('Mul', [dy, maskOf(build.add(op, [value, build.scalar(bound, value)]), dy, build)]);
}

const isAboveZero = (x: string, build: GraphBuilder): string => build.add('Greater', [x, build.scalar(0, x)]);

/** Where x is above zero `above`, else `below`. */
const bySign = (x: string, [above, below]: readonly [string, string], build: GraphBuilder): string =>
  build.add('Where', [isAboveZero(x, build), above, below]);

/** x / sqrt 2, and Phi(x) = (1 + erf(x / sqrt 2)) / 2, of which HardSigmoid is the sum and the product in one pass. */
export function normalDistribution(x: string, build: GraphBuilder): { scaled: string; phi: string } {
  const scaled = build.add('Mul', [x, build.scalar(Math.SQRT1_2, x)]);
  const half = { alpha: { float: 0.5 }, beta: { float: 0.5 } };
  return { scaled, phi: build.add('HardSigmoid', [build.add('Erf', [scaled])], half) };
}

/** dy (min(y, 0) + 1) */
function scaledBelow(y: string, { dy, build }: Pick<Values, 'dy' | 'build'>): string {
  const below = build.add('Min', [y, build.scalar(0, y)]);
  return build.add('Mul', [dy, build.add('Add', [below, build.scalar(1, y)])]);
}

/** y = x Phi(x), exactly: dx = dy (Phi(x) + x phi(x)), phi(x) = exp(-x^2 / 2 - log sqrt(2 pi)) */
function exactGelu({ x, dy, build }: Values): string {
  const { scaled, phi } = normalDistribution(x, build);
  const logarithm = build.scalar(-Math.log(Math.sqrt(2 * Math.PI)), x);
  const density = build.add('Exp', [build.add('Sub', [logarithm, square(scaled, build)])]);
  return build.add('Mul', [dy, build.add('Add', [phi, build.add('Mul', [x, density])])]);
}

/** y = x (1 + t) / 2, t = tanh(c (x + a x^3)): dx = dy ((1 + t) + x (1 - t^2) c (1 + 3a x^2)) / 2. https://arxiv.org/abs/1606.08415 */
function tanhGelu({ x, dy, build }: Values): string {
  const [c, a] = [Math.sqrt(2 / Math.PI), 0.044715];
  const number = (value: number): string => build.scalar(value, x);
  const squared = square(x, build);
  const inner = build.add('Add', [build.add('Mul', [squared, number(c * a)]), number(c)]);
  const t = build.add('Tanh', [build.add('Mul', [x, inner])]);
  const slope = build.add('Add', [build.add('Mul', [squared, number(3 * c * a)]), number(c)]);
  const flat = build.add('Sub', [number(1), square(t, build)]);
  const sum = chain('Add', [chain('Mul', [x, flat, slope], build), t, number(1)], build);
  return chain('Mul', [dy, sum, number(0.5)], build);
}

/** y = x tanh(s), s = softplus(x): dx = dy (t + x (1 - t^2) sigmoid(x)). https://arxiv.org/abs/1908.08681 */
function mish({ x, dy, build }: Values): string {
  const t = build.add('Tanh', [build.add('Softplus', [x])]);
  const flat = build.add('Sub', [build.scalar(1, x), square(t, build)]);
  const rest = chain('Mul', [x, flat, build.add('Sigmoid', [x])], build);
  return build.add('Mul', [dy, build.add('Add', [t, rest])]);
}

/** dy where x > 0, else slope dy; the slope gets the sum of x dy where x <= 0. */
function parametricRelu(site: GradientSite, build: GraphBuilder): (string | undefined)[] {
  const [dy] = site.outputGradients;
  const [x = '', slope = ''] = site.node.inputs;
  if (dy === undefined) return [];
  const byX = (): string => bySign(x, [dy, build.add('Mul', [dy, slope])], build);
  const bySlope = (): string => build.add('Mul', [dy, build.add('Min', [x, build.scalar(0, x)])]);
  return [site.wants(0) ? byX() : undefined, site.wants(1) ? unbroadcast(bySlope(), slope, build) : undefined];
}

/** By x: dy where the bounds leave x as it is, which a value at a bound is too: one comparison tells. By a bound: the sum of dy where the bound is taken. */
function clip(site: GradientSite, build: GraphBuilder): (string | undefined)[] {
  const [dy] = site.outputGradients;
  const [x = '', low = '', high = ''] = site.node.inputs;
  const [y = ''] = site.node.outputs;
  if (dy === undefined) return [];
  const where = (condition: string): string => build.add('Mul', [dy, maskOf(condition, dy, build)]);
  // Where the lower bound is above the upper one, every result is the upper one.
  const raised = (): string => {
    const below = build.add('Less', [x, low]);
    return high === '' ? below : build.add('And', [below, build.add('LessOrEqual', [low, high])]);
  };
  const lowered = (): string => build.add('Greater', [low === '' ? x : build.add('Max', [x, low]), high]);
  return [
    site.wants(0) ? where(build.add('Equal', [x, y])) : undefined,
    low !== '' && site.wants(1) ? unbroadcast(where(raised()), low, build) : undefined,
    high !== '' && site.wants(2) ? unbroadcast(where(lowered()), high, build) : undefined,
  ];
}

export const activationOperators: OperatorRows = {
  Relu: elementwise((values) => kept('Greater', [values.y, 0], values)),
  /** dy where x > 0, else alpha dy */
  LeakyRelu: elementwise(({ x, dy, build, site }) => {
    const alpha = alphaOf(site, 0.01);
    if (alpha < 0 || alpha > 1) return bySign(x, [dy, build.add('Mul', [dy, build.scalar(alpha, dy)])], build);
    // A mask of 1 and alpha costs less than Where.
    const mask = maskOf(isAboveZero(x, build), dy, build);
    return build.add('Mul', [dy, build.add('Max', [mask, build.scalar(alpha, dy)])]);
  }),
  PRelu: operator({ infer: sameType, gradient: parametricRelu }),
  ThresholdedRelu: elementwise((values) => kept('Greater', [values.x, alphaOf(values.site, 1)], values)),
  Shrink: elementwise((values) => {
    const lambda = floatOf(values.site.node, 'lambd', 0.5);
    return kept('Greater', [values.build.add('Abs', [values.x]), lambda], values);
  }, 3),
  /** dy (y - y^2) */
  Sigmoid: elementwise(({ y, dy, build }) => build.add('Mul', [dy, build.add('Sub', [y, square(y, build)])]), 10),
  /** dy - dy y^2 */
  Tanh: elementwise(({ y, dy, build }) => build.add('Sub', [dy, build.add('Mul', [dy, square(y, build)])]), 10),
  Softplus: elementwise(({ x, dy, build }) => build.add('Mul', [dy, build.add('Sigmoid', [x])]), 20),
  /** dy / (1 + |x|)^2 */
  Softsign: elementwise(({ x, dy, build }) => {
    const divisor = build.add('Add', [build.add('Abs', [x]), build.scalar(1, x)]);
    return build.add('Div', [dy, square(divisor, build)]);
  }, 3),
  /** dy where x > 0, else dy alpha e^x = dy (y + alpha) */
  Elu: elementwise(({ x, y, dy, build, site }) => {
    const alpha = alphaOf(site, 1);
    if (alpha === 1) return scaledBelow(y, { dy, build });
    const below = build.add('Add', [y, build.scalar(alpha, y)]);
    return bySign(x, [dy, build.add('Mul', [dy, below])], build);
  }, 10),
  /** dy e^(min(x, 0) / alpha) = dy (min(y / alpha, 0) + 1), alpha above 0 */
  Celu: elementwise(({ y, dy, build, site }) => {
    const alpha = alphaOf(site, 1);
    const scaled = alpha === 1 ? y : build.add('Div', [y, build.scalar(alpha, y)]);
    return scaledBelow(scaled, { dy, build });
  }, 10),
  /** gamma dy where x > 0, else dy gamma alpha e^x = dy (y + gamma alpha) */
  Selu: elementwise(({ x, y, dy, build, site: { node } }) => {
    const [alpha, gamma] = [floatOf(node, 'alpha', 1.6732631921768188), floatOf(node, 'gamma', 1.0507010221481323)];
    const below = build.add('Add', [y, build.scalar(gamma * alpha, y)]);
    return build.add('Mul', [dy, bySign(x, [build.scalar(gamma, y), below], build)]);
  }, 10),
  /** alpha dy where 0 < y < 1 */
  HardSigmoid: elementwise(({ y, dy, build, site }) => {
    const below = build.add('Less', [y, build.scalar(1, y)]);
    const inside = build.add('And', [isAboveZero(y, build), below]);
    return chain('Mul', [dy, build.scalar(alphaOf(site, 0.2), dy), maskOf(inside, dy, build)], build);
  }, 3),
  /** y = x h, h = hardsigmoid(x; 1/6, 1/2): dx = dy (h + x/6 where 0 < h < 1) */
  HardSwish: elementwise(({ x, dy, build }) => {
    const h = build.add('HardSigmoid', [x], { alpha: { float: 1 / 6 }, beta: { float: 0.5 } });
    const inside = build.add('Less', [build.add('Abs', [x]), build.scalar(3, x)]);
    const ramp = chain('Mul', [x, build.scalar(1 / 6, x), maskOf(inside, dy, build)], build);
    return build.add('Mul', [dy, build.add('Add', [h, ramp])]);
  }, 5),
  Gelu: elementwise(
    (values) => (stringOf(values.site.node, 'approximate', 'none') === 'tanh' ? tanhGelu(values) : exactGelu(values)),
    20,
  ),
  Mish: elementwise(mish, 25),
  Clip: operator({ infer: sameType, gradient: clip, flops: (_, [y]) => 2 * sizeOf(y) }),
};
