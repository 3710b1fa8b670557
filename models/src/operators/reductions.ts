/** Sums, means and extremes along axes: https://onnx.ai/onnx/operators/onnx__ReduceSum.html */
import type { Dimension } from '../graph/graph.js';
import { expandLike, maskOf, reshapeTo } from './broadcast.js';
import { knownCount } from './dimension.js';
import type { GraphBuilder } from './graph-builder.js';
import {
  operator,
  sizeOf,
  type GradientSite,
  type Known,
  type Operator,
  type OperatorRows,
  type Site,
} from './operator.js';
import { axisOf, inputOf, intOf, numbersOf, shapeOf, unsupported } from './site.js';

function axesOf(site: Site): Set<number> {
  const rank = shapeOf(site, 0).length;
  const axes = numbersOf(site, 1) ?? [];
  if (axes.length > 0) return new Set(axes.map((axis) => axisOf(site.node, axis, rank)));
  return new Set(intOf(site.node, 'noop_with_empty_axes', 0) === 1 ? [] : Array(rank).keys());
}

function inferReduction(site: Site): Known[] {
  const axes = axesOf(site);
  const keep = intOf(site.node, 'keepdims', 1) === 1;
  const shape = shapeOf(site, 0).flatMap((size, axis): Dimension[] => (!axes.has(axis) ? [size] : keep ? [1] : []));
  return [{ dtype: inputOf(site, 0).dtype, shape }];
}

/** A result of the reduction with the reduced axes back as size 1, so that it broadcasts against the input. */
function withAxes(site: GradientSite, value: string, build: GraphBuilder): string {
  const axes = axesOf(site);
  if (intOf(site.node, 'keepdims', 1) === 1 || axes.size === 0) return value;
  const shape = shapeOf(site, 0).map((size, axis) => (axes.has(axis) ? 1 : size));
  if (shape.filter((size) => typeof size === 'string').length > 1) {
    return build.add('Unsqueeze', [value, build.ints([...axes])]);
  }
  return reshapeTo(value, shape, { like: value, build });
}

type Spread = (site: GradientSite, dy: string, build: GraphBuilder) => string;

function reduction(spread: Spread): Operator {
  return operator({
    infer: inferReduction,
    gradient: (site, build) => {
      const [dy] = site.outputGradients;
      return dy === undefined ? [] : [spread(site, withAxes(site, dy, build), build)];
    },
    flops: ({ inputs: [x] }) => sizeOf(x),
  });
}

/** Every element adds equally. */
const spreadSum: Spread = ({ node }, dy, build) => expandLike(dy, node.inputs[0] ?? '', build);

const spreadMean: Spread = (site, dy, build) => {
  const axes = axesOf(site);
  const count = knownCount(shapeOf(site, 0).filter((_, axis) => axes.has(axis)));
  if (count === undefined)
    throw unsupported(site.node, 'averages over an axis of unknown size, so its gradient is not known');
  return spreadSum(site, build.add('Mul', [dy, build.scalar(1 / count, dy)]), build);
};

/** To every element that equals the extreme. */
const spreadExtreme: Spread = (site, dy, build) => {
  const [x = ''] = site.node.inputs;
  const y = withAxes(site, site.node.outputs[0] ?? '', build);
  return build.add('Mul', [maskOf(build.add('Equal', [x, y]), dy, build), dy]);
};

export const reductionOperators: OperatorRows = {
  ReduceSum: reduction(spreadSum),
  ReduceMean: reduction(spreadMean),
  ReduceMax: reduction(spreadExtreme),
  ReduceMin: reduction(spreadExtreme),
};
