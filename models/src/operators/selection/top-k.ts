/** The k largest or smallest elements along an axis: https://onnx.ai/onnx/operators/onnx__TopK.html */
import type { GraphBuilder } from '../graph-builder.js';
import { zerosLike } from '../indexing.js';
import { operator, sizeOf, type GradientSite, type Known, type OperatorRows, type Site } from '../operator.js';
import { axisOf, inputOf, intOf, malformed, shapeOf } from '../site.js';

const axisIn = (site: Site): number => axisOf(site.node, intOf(site.node, 'axis', -1), shapeOf(site, 0).length);

function inferTopK(site: Site): Known[] {
  const axis = axisIn(site);
  const size = shapeOf(site, 0)[axis];
  const count = inputOf(site, 1).elements?.[0];
  if (typeof count === 'number' && typeof size === 'number' && count > size)
    throw malformed(site.node, `takes ${count} elements of ${size}`);
  const shape = shapeOf(site, 0).with(axis, count ?? `${site.node.outputs[0] ?? ''}:${axis}`);
  return [
    { dtype: inputOf(site, 0).dtype, shape },
    { dtype: 'int64', shape },
  ];
}

/** Each gradient goes back to where its element was taken. */
function topKGradient(site: GradientSite, build: GraphBuilder): string[] {
  const [dy] = site.outputGradients;
  const [x = ''] = site.node.inputs;
  if (dy === undefined) return [];
  const indices = site.node.outputs[1] || (build.repeat(site.node, 2)[1] ?? '');
  return [build.add('ScatterElements', [zerosLike(x, build), indices, dy], { axis: axisIn(site) })];
}

export const topKOperators: OperatorRows = {
  TopK: operator({ infer: inferTopK, gradient: topKGradient, flops: ({ inputs: [x] }) => sizeOf(x) }),
};
