/** LayerNormalization: https://onnx.ai/onnx/operators/onnx__LayerNormalization.html */
import { unbroadcast } from '../broadcast.js';
import type { GraphBuilder } from '../graph-builder.js';
import { resultsOf } from '../more-results.js';
import type { GradientSite, Known, Site } from '../operator.js';
import { axisOf, inputOf, intOf, shapeOf } from '../site.js';
import { standardizedGradient } from './standardize.js';

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
  if (dy === undefined) return [];
  const rank = shapeOf(site, 0).length;
  const axes = [...Array(rank).keys()].slice(firstAxis(site));
  const [, mean = '', inverse = ''] = resultsOf(site.node, [1, 2], { infer: inferLayerNormalization, build });
  const normalized = build.add('Mul', [build.add('Sub', [x, mean]), inverse]);
  const byX = (): string => standardizedGradient(build.add('Mul', [dy, scale]), { normalized, inverse, axes }, build);
  return [
    site.wants(0) ? byX() : undefined,
    site.wants(1) ? unbroadcast(build.add('Mul', [dy, normalized]), scale, build) : undefined,
    bias !== '' && site.wants(2) ? unbroadcast(dy, bias, build) : undefined,
  ];
}
