/** Normalization of groups of channels of one example: https://onnx.ai/onnx/operators/onnx__GroupNormalization.html */
import { reshapeLike } from '../broadcast.js';
import type { GraphBuilder } from '../graph-builder.js';
import type { GradientSite } from '../operator.js';
import { floatOf, intOf, shapeOf } from '../site.js';
import { alongChannels, overChannels } from './channels.js';
import { standardizedGradient, standardizedRows } from './standardize.js';

/** Each group is a row; `groups` as Reshape takes it, 0 for a group of each channel. */
function grouped(site: GradientSite, groups: number, build: GraphBuilder): (string | undefined)[] {
  const [dy] = site.outputGradients;
  const [x = '', scale = ''] = site.node.inputs;
  if (dy === undefined) return [];
  const rank = shapeOf(site, 0).length;
  const axes = [2];
  const rows = (value: string): string => build.add('Reshape', [value, build.ints([0, groups, -1])]);
  const values = standardizedRows(rows(x), floatOf(site.node, 'epsilon', 1e-5), build);
  const byX = (): string => {
    const g = rows(build.add('Mul', [dy, alongChannels(scale, rank, build)]));
    return reshapeLike(standardizedGradient(g, { ...values, axes }, build), x, build);
  };
  const byScale = (): string =>
    overChannels('ReduceSum', build.add('Mul', [dy, reshapeLike(values.normalized, x, build)]), build);
  return [
    site.wants(0) ? byX() : undefined,
    site.wants(1) ? byScale() : undefined,
    site.wants(2) ? overChannels('ReduceSum', dy, build) : undefined,
  ];
}

export function groupNormalizationGradient(site: GradientSite, build: GraphBuilder): (string | undefined)[] {
  return grouped(site, intOf(site.node, 'num_groups', 1), build);
}

export function instanceNormalizationGradient(site: GradientSite, build: GraphBuilder): (string | undefined)[] {
  return grouped(site, 0, build);
}
