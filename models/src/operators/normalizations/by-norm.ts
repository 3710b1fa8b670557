/** Normalization by a p-norm, by mean and variance, and by neighbouring channels. */
import { reshapeLike } from '../broadcast.js';
import { floats, type GraphBuilder } from '../graph-builder.js';
import type { GradientSite } from '../operator.js';
import { axisOf, fixedSize, floatOf, intOf, intsOf, shapeOf } from '../site.js';
import { standardizedGradient } from './standardize.js';

/** y = x / |x|: dx = (dy - d|x|/dx sum(dy y)) / |x|, https://onnx.ai/onnx/operators/onnx__LpNormalization.html */
export function lpNormalizationGradient(site: GradientSite, build: GraphBuilder): string[] {
  const [dy] = site.outputGradients;
  const [[x = ''], [y = '']] = [site.node.inputs, site.node.outputs];
  if (dy === undefined) return [];
  const axes = build.ints([axisOf(site.node, intOf(site.node, 'axis', -1), shapeOf(site, 0).length)]);
  const sum = (value: string): string => build.add('ReduceSum', [value, axes], { keepdims: 1 });
  const squares = intOf(site.node, 'p', 2) === 2;
  const norm = squares ? build.add('Sqrt', [sum(build.add('Mul', [x, x]))]) : sum(build.add('Abs', [x]));
  // A row of zeros stays one.
  const divisor = build.add('Where', [build.add('Equal', [norm, build.scalar(0, norm)]), build.scalar(1, norm), norm]);
  const along = build.add('Mul', [squares ? y : build.add('Sign', [x]), sum(build.add('Mul', [dy, y]))]);
  return [build.add('Div', [build.add('Sub', [dy, along]), divisor])];
}

/** y = (x - mean) / deviation, https://onnx.ai/onnx/operators/onnx__MeanVarianceNormalization.html */
export function meanVarianceGradient(site: GradientSite, build: GraphBuilder): string[] {
  const [dy] = site.outputGradients;
  const [[x = ''], [normalized = '']] = [site.node.inputs, site.node.outputs];
  if (dy === undefined) return [];
  const rank = shapeOf(site, 0).length;
  const axes = (intsOf(site.node, 'axes') ?? [0, 2, 3]).map((axis) => axisOf(site.node, axis, rank));
  const mean = (value: string): string => build.add('ReduceMean', [value, build.ints(axes)], { keepdims: 1 });
  const centered = build.add('Sub', [x, mean(x)]);
  const deviation = build.add('Sqrt', [mean(build.add('Mul', [centered, centered]))]);
  // The operator's own guard against constant values.
  const inverse = build.add('Reciprocal', [build.add('Add', [deviation, build.scalar(1e-9, x)])]);
  return [standardizedGradient(dy, { normalized, inverse, axes }, build)];
}

/**
 * y = x s^-beta, s = bias + alpha/size sum x^2 over the channels near: https://onnx.ai/onnx/operators/onnx__LRN.html
 * dx = dy s^-beta - 2 alpha beta/size x sum(dy y / s) over the channels that are near.
 */
export function localResponseGradient(site: GradientSite, build: GraphBuilder): string[] {
  const [dy] = site.outputGradients;
  const [[x = ''], [y = '']] = [site.node.inputs, site.node.outputs];
  if (dy === undefined) return [];
  const { node } = site;
  const channels = fixedSize(site, shapeOf(site, 0)[1], 'number of channels');
  const size = intOf(node, 'size', 1);
  const [alpha, beta, bias] = [floatOf(node, 'alpha', 1e-4), floatOf(node, 'beta', 0.75), floatOf(node, 'bias', 1)];
  const { dtype } = build.typeOf(x);
  const sum = (value: string, back: boolean): string => {
    const near = build.constant(floats(dtype, [channels, channels], neighbours(channels, size, back)));
    const planes = build.add('Reshape', [value, build.ints([0, 0, -1])]);
    return reshapeLike(build.add('MatMul', [near, planes]), x, build);
  };
  const scaled = build.add('Mul', [sum(build.add('Mul', [x, x]), false), build.scalar(alpha / size, x)]);
  const s = build.add('Add', [scaled, build.scalar(bias, x)]);
  const direct = build.add('Mul', [dy, build.add('Pow', [s, build.scalar(-beta, x)])]);
  const shares = sum(build.add('Div', [build.add('Mul', [dy, y]), s]), true);
  const indirect = build.add('Mul', [build.add('Mul', [x, shares]), build.scalar((2 * alpha * beta) / size, x)]);
  return [build.add('Sub', [direct, indirect])];
}

/** 1 where channel j counts for channel i, floor((size - 1) / 2) before it to ceil((size - 1) / 2) behind; `back` transposes. */
function neighbours(channels: number, size: number, back: boolean): number[] {
  const [before, behind] = [Math.floor((size - 1) / 2), Math.ceil((size - 1) / 2)];
  return Array.from({ length: channels * channels }, (_, at) => {
    const [row, column] = [Math.floor(at / channels), at % channels];
    const distance = back ? row - column : column - row;
    return distance >= -before && distance <= behind ? 1 : 0;
  });
}
