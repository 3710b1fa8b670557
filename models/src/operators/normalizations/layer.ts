/** LayerNormalization: https://onnx.ai/onnx/operators/onnx__LayerNormalization.html */
import { expandLike, unbroadcast } from '../broadcast.js';
import type { GraphBuilder } from '../graph-builder.js';
import { resultsOf } from '../more-results.js';
import type { GradientSite, Known, Site } from '../operator.js';
import { axisOf, inputOf, intOf, shapeOf } from '../site.js';
import { standardizedGradient, type Standardized } from './standardize.js';

const firstAxis = (site: Site): number => axisOf(site.node, intOf(site.node, 'axis', -1), shapeOf(site, 0).length);

/** The result, mean and 1 / deviation of each row. */
export function inferLayerNormalization(site: Site): Known[] {
  const shape = shapeOf(site, 0);
  const { dtype } = inputOf(site, 0);
  const first = firstAxis(site);
  const rows = { dtype: 'float32', shape: shape.map((size, axis) => (axis < first ? size : 1)) } as const;
  return [{ dtype, shape }, rows, rows];
}

/** xh = (x - mean) inv, from the mean and inv that the forward node has anyway; g = dy scale. */
export function layerNormalizationGradient(site: GradientSite, build: GraphBuilder): (string | undefined)[] {
  const [dy] = site.outputGradients;
  const [x = '', scale = '', bias = ''] = site.node.inputs;
  const rank = shapeOf(site, 0).length;
  const axes = [...Array(rank).keys()].slice(firstAxis(site));
  const [, mean = '', inverse = ''] = resultsOf(site.node, [1, 2], { infer: inferLayerNormalization, build });
  const normalized = build.add('Mul', [build.add('Sub', [x, mean]), inverse]);
  const byX = (): string | undefined => {
    const parts = byStatistics(site, { normalized, inverse, axes }, build);
    if (dy !== undefined) {
      const g = build.add('Mul', [dy, scale]);
      parts.unshift(standardizedGradient(g, { normalized, inverse, axes }, build));
    }
    return parts.length > 1 ? build.add('Sum', parts) : parts[0];
  };
  return [
    site.wants(0) ? byX() : undefined,
    dy !== undefined && site.wants(1) ? unbroadcast(build.add('Mul', [dy, normalized]), scale, build) : undefined,
    dy !== undefined && bias !== '' && site.wants(2) ? unbroadcast(dy, bias, build) : undefined,
  ];
}

/** Where the loss reads the mean or inv itself: dmean / M and -xh inv^2 dinv / M, of M elements a row. */
function byStatistics(
  { outputGradients: [, byMean, byInverse] }: GradientSite,
  { normalized, inverse, axes }: Standardized & { axes: readonly number[] },
  build: GraphBuilder,
): string[] {
  if (byMean === undefined && byInverse === undefined) return [];
  const rows = build.add('Shape', [normalized], { start: axes[0] ?? 0 });
  const count = build.add('ReduceProd', [rows], { keepdims: 0 });
  const share = build.add('Reciprocal', [build.add('CastLike', [count, normalized])]);
  const parts: string[] = [];
  if (byMean !== undefined) {
    parts.push(expandLike(build.add('Mul', [byMean, share]), normalized, build));
  }
  if (byInverse !== undefined) {
    const square = build.add('Mul', [build.add('Mul', [inverse, inverse]), build.add('Mul', [byInverse, share])]);
    parts.push(build.add('Neg', [build.add('Mul', [normalized, square])]));
  }
  return parts;
}
