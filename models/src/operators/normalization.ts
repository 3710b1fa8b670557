/** Normalization: https://onnx.ai/onnx/operators/onnx__BatchNormalization.html, onnx__LayerNormalization.html */
import { reshapeTo, unbroadcast } from './broadcast.js';
import { sameType } from './elementwise.js';
import type { GraphBuilder } from './graph-builder.js';
import { operator, sizeOf, type GradientSite, type OperatorRows } from './operator.js';
import { axisOf, floatOf, intOf, notDifferentiable, shapeOf } from './site.js';

/**
 * With frozen statistics: y = (x - mean) inv scale + bias, inv = 1 / sqrt(var + epsilon).
 * Fine-tuning on few examples keeps the running statistics of the pretrained model; they are constants.
 */
function batchNormalizationGradient(site: GradientSite, build: GraphBuilder): (string | undefined)[] {
  const [dy] = site.outputGradients;
  const [x = '', scale = '', , mean = '', variance = ''] = site.node.inputs;
  if (dy === undefined) return [];
  if (intOf(site.node, 'training_mode', 0) === 1)
    throw notDifferentiable(site.node, 'computes statistics of its batch, which has no gradient here');
  if (site.wants(3) || site.wants(4))
    throw notDifferentiable(site.node, 'has running statistics, which are constants and cannot be trained');
  const rank = shapeOf(site, 0).length;
  const channels = (value: string): string =>
    reshapeTo(value, [-1, ...Array<number>(rank - 2).fill(1)], { like: value, build });
  const epsilon = build.scalar(floatOf(site.node, 'epsilon', 1e-5), variance);
  const deviation = build.add('Sqrt', [build.add('Add', [variance, epsilon])]);
  const sum = (value: string): string => {
    const inner = [...Array(rank - 2).keys()].map((axis) => axis + 2);
    const rows = inner.length === 0 ? value : build.add('ReduceSum', [value, build.ints(inner)], { keepdims: 0 });
    return build.add('ReduceSum', [rows, build.ints([0])], { keepdims: 0 });
  };
  const byX = (): string => build.add('Mul', [dy, channels(build.add('Div', [scale, deviation]))]);
  const byScale = (): string =>
    build.add('Div', [sum(build.add('Mul', [dy, build.add('Sub', [x, channels(mean)])])), deviation]);
  return [
    site.wants(0) ? byX() : undefined,
    site.wants(1) ? byScale() : undefined,
    site.wants(2) ? sum(dy) : undefined,
  ];
}

/** xh = (x - mean) inv; g = dy scale; dx = inv (g - mean g - xh mean(g xh)). */
function layerNormalizationGradient(site: GradientSite, build: GraphBuilder): (string | undefined)[] {
  const [dy] = site.outputGradients;
  const [x = '', scale = '', bias = ''] = site.node.inputs;
  if (dy === undefined) return [];
  const rank = shapeOf(site, 0).length;
  const first = axisOf(site.node, intOf(site.node, 'axis', -1), rank);
  const axes = build.ints([...Array(rank - first).keys()].map((axis) => axis + first));
  const mean = (value: string): string => build.add('ReduceMean', [value, axes], { keepdims: 1 });
  const centered = build.add('Sub', [x, mean(x)]);
  const variance = mean(build.add('Mul', [centered, centered]));
  const epsilon = build.scalar(floatOf(site.node, 'epsilon', 1e-5), x);
  const deviation = build.add('Sqrt', [build.add('Add', [variance, epsilon])]);
  const normalized = build.add('Div', [centered, deviation]);
  const byX = (): string => {
    const g = build.add('Mul', [dy, scale]);
    const projection = build.add('Mul', [normalized, mean(build.add('Mul', [g, normalized]))]);
    const rest = build.add('Sub', [build.add('Sub', [g, mean(g)]), projection]);
    return build.add('Div', [rest, deviation]);
  };
  return [
    site.wants(0) ? byX() : undefined,
    site.wants(1) ? unbroadcast(build.add('Mul', [dy, normalized]), scale, build) : undefined,
    bias !== '' && site.wants(2) ? unbroadcast(dy, bias, build) : undefined,
  ];
}

export const normalizationOperators: OperatorRows = {
  BatchNormalization: operator({
    infer: sameType,
    gradient: batchNormalizationGradient,
    flops: (_, [y]) => 2 * sizeOf(y),
  }),
  LayerNormalization: operator({
    infer: sameType,
    gradient: layerNormalizationGradient,
    flops: (_, [y]) => 8 * sizeOf(y),
  }),
};
