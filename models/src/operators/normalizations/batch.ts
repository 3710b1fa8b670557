/** BatchNormalization with frozen and with batch statistics: https://onnx.ai/onnx/operators/onnx__BatchNormalization.html */
import { floats, type GraphBuilder } from '../graph-builder.js';
import type { GradientSite, Known, Site } from '../operator.js';
import { dotByChannel } from '../planes/dot-by-channel.js';
import { lineInLanes } from '../planes/line-in-lanes.js';
import { fixedSize, floatOf, gradientMissing, inputOf, intOf, notDifferentiable, shapeOf } from '../site.js';
import { alongChannels, overChannels } from './channels.js';

export function inferBatchNormalization(site: Site): Known[] {
  const { dtype, shape } = inputOf(site, 0);
  const result = shape === undefined ? { dtype } : { dtype, shape };
  if (intOf(site.node, 'training_mode', 0) === 0) return [result];
  const statistics = [3, 4].map((place) => inputOf(site, place));
  return [result, ...statistics.map((known) => ({ dtype: known.dtype, ...(known.shape && { shape: known.shape }) }))];
}

export function batchNormalizationGradient(site: GradientSite, build: GraphBuilder): (string | undefined)[] {
  const [dy] = site.outputGradients;
  if (site.outputGradients.slice(1).some((gradient) => gradient !== undefined))
    throw gradientMissing(site.node, 'has running statistics in the loss, which have no gradient here');
  if (site.wants(3) || site.wants(4))
    throw notDifferentiable(site.node, 'has running statistics, which are constants and cannot be trained');
  if (dy === undefined) return [];
  return intOf(site.node, 'training_mode', 0) === 1 ? byBatch(site, dy, build) : byRunning(site, dy, build);
}

/** What both modes share: S1 = sum dy, S2 = sum dy x, and the gradients by scale, (S2 - mean S1) inv, and bias, S1. */
function sums(
  { node }: GradientSite,
  { dy, mean, inverse }: { dy: string; mean: string; inverse: string },
  build: GraphBuilder,
): { byScale: () => string; byBias: () => string } {
  const [x = ''] = node.inputs;
  const key = `BatchNormalization ${node.name} `;
  const byBias = (): string => build.once(`${key}bias`, () => overChannels('ReduceSum', dy, build));
  const byScale = (): string =>
    build.once(`${key}scale`, () => {
      const products = dotByChannel(dy, x, build);
      return build.add('Mul', [build.add('Sub', [products, build.add('Mul', [mean, byBias()])]), inverse]);
    });
  return { byScale, byBias };
}

function inverseDeviation({ node }: GradientSite, variance: string, build: GraphBuilder): string {
  const epsilon = build.scalar(floatOf(node, 'epsilon', 1e-5), variance);
  return build.add('Reciprocal', [build.add('Sqrt', [build.add('Add', [variance, epsilon])])]);
}

/**
 * y = (x - mean) inv scale + bias, inv = 1 / sqrt(var + epsilon), with statistics that are constants:
 * fine-tuning on few examples keeps those of the pretrained model.
 */
function byRunning(site: GradientSite, dy: string, build: GraphBuilder): (string | undefined)[] {
  const [, scale = '', , mean = '', variance = ''] = site.node.inputs;
  const inverse = inverseDeviation(site, variance, build);
  const { byScale, byBias } = sums(site, { dy, mean, inverse }, build);
  const factor = (): string => alongChannels(build.add('Mul', [scale, inverse]), shapeOf(site, 0).length, build);
  return [
    site.wants(0) ? build.add('Mul', [dy, factor()]) : undefined,
    site.wants(1) ? byScale() : undefined,
    site.wants(2) ? byBias() : undefined,
  ];
}

/**
 * With a = scale inv and M elements a channel: dx = a dy + b (x - mean) + c, b = -a inv dscale / M, c = -a S1 / M.
 * b (x - mean) + c is a normalization by known statistics, which the runtime does in one pass; no normalized x is kept.
 */
function byBatch(site: GradientSite, dy: string, build: GraphBuilder): (string | undefined)[] {
  const [x = '', scale = ''] = site.node.inputs;
  const { mean, variance } = batchStatistics(site, build);
  const inverse = inverseDeviation(site, variance, build);
  const { byScale, byBias } = sums(site, { dy, mean, inverse }, build);
  const byX = (): string => {
    const a = build.add('Mul', [scale, inverse]);
    const share = build.add('Mul', [a, shareOf(site, { dy, like: a }, build)]);
    const b = build.add('Mul', [build.add('Mul', [share, inverse]), byScale()]);
    const c = build.add('Neg', [build.add('Mul', [share, byBias()])]);
    const inLanes = lineInLanes(
      dy,
      () => ({ v: x, a, b: build.add('Neg', [b]), c: build.add('Add', [c, build.add('Mul', [b, mean])]) }),
      build,
    );
    if (inLanes !== undefined) return inLanes;
    const half = build.add('Mul', [b, build.scalar(-Math.sqrt(notOne), b)]);
    const channels = fixedSize(site, build.shapeOf(scale)[0], 'number of channels');
    const spread = floats(build.typeOf(scale).dtype, [channels], Array<number>(channels).fill(notOne));
    const inputs = [x, half, c, mean, build.constant(spread)];
    const line = build.add('BatchNormalization', inputs, { epsilon: { float: 0 } });
    return build.add('Add', [build.add('Mul', [dy, alongChannels(a, shapeOf(site, 0).length, build)]), line]);
  };
  return [
    site.wants(0) ? byX() : undefined,
    site.wants(1) ? byScale() : undefined,
    site.wants(2) ? byBias() : undefined,
  ];
}

/**
 * A variance that no other constant has: ONNX Runtime writes the statistics of a node in training mode over those it is given,
 * and ones or zeros that are shared with such a node would change while the graph runs.
 */
const notOne = 0.25;

/** 1 / M. */
function shareOf(site: GradientSite, { dy, like }: { dy: string; like: string }, build: GraphBuilder): string {
  const others = shapeOf(site, 0).filter((_, axis) => axis !== 1);
  if (others.every((size) => typeof size === 'number')) {
    return build.scalar(1 / others.reduce((product, size) => product * size, 1), like);
  }
  const ones = build.add('Expand', [build.scalar(1, dy), build.add('Shape', [dy])]);
  return build.add('Reciprocal', [overChannels('ReduceSum', ones, build)]);
}

/** With momentum 0 the node itself returns them, if their names are there; else they are computed again. */
function batchStatistics({ node }: GradientSite, build: GraphBuilder): { mean: string; variance: string } {
  const [x = ''] = node.inputs;
  const [, mean = '', variance = ''] = node.outputs;
  if (floatOf(node, 'momentum', 0.9) === 0 && mean !== '' && variance !== '') return { mean, variance };
  const center = overChannels('ReduceMean', x, build);
  const centered = build.add('Sub', [x, alongChannels(center, build.shapeOf(x).length, build)]);
  return { mean: center, variance: overChannels('ReduceMean', build.add('Mul', [centered, centered]), build) };
}
