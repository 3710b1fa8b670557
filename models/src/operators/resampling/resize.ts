/** Resize: https://onnx.ai/onnx/operators/onnx__Resize.html */
import type { Dimension, Node } from '../../graph/graph.js';
import { reshapeTo } from '../broadcast.js';
import { floorQuotientOf, productOf, unknownSize } from '../dimension.js';
import { floats, type GraphBuilder } from '../graph-builder.js';
import { operator, sizeOf, type GradientSite, type Known, type OperatorRows, type Site } from '../operator.js';
import {
  axisOf,
  fixedSize,
  floatOf,
  inputOf,
  intOf,
  intsOf,
  malformed,
  gradientMissing,
  numbersOf,
  shapeOf,
  stringOf,
} from '../site.js';
import {
  coordinateModes,
  interpolationMatrix,
  interpolationModes,
  nearestModes,
  repetitionsOf,
  type Interpolation,
  type ResizedAxis,
} from './interpolation.js';

/** The axes that the node lists, else all. */
function axesOf(site: Site): number[] {
  const rank = shapeOf(site, 0).length;
  const given = intsOf(site.node, 'axes');
  return given === undefined ? [...Array(rank).keys()] : given.map((axis) => axisOf(site.node, axis, rank));
}

interface Resized {
  readonly output: Dimension;
  readonly scale: number;
}

/** Output size and scale of each axis that the node resizes, as the runtime computes them in float32. */
function resizedAxes(site: Site): Map<number, Resized> {
  const shape = shapeOf(site, 0);
  const axes = axesOf(site);
  const byScales = site.inputs[2] !== undefined && site.inputs[2].shape?.[0] !== 0;
  const amounts = site.inputs[byScales ? 2 : 3];
  if (amounts === undefined) throw malformed(site.node, 'has neither scales nor sizes');
  const given = amounts.elements;
  // Computed while the graph runs.
  if (given === undefined) {
    return new Map(axes.map((axis) => [axis, { output: unknownSize(site.node.name, `size.${axis}`), scale: NaN }]));
  }
  const scales = byScales ? numbersOf(site, 2) : undefined;
  if (given.length !== axes.length)
    throw malformed(site.node, `resizes ${axes.length} axes and gives ${given.length} numbers`);
  if (scales !== undefined) return new Map(axes.map((axis, i) => [axis, byScale(site, axis, scales[i] ?? 1)]));
  const policy = stringOf(site.node, 'keep_aspect_ratio_policy', 'stretch');
  if (policy === 'stretch') {
    return new Map(axes.map((axis, i) => [axis, bySize(shape[axis], given[i] ?? 1)]));
  }
  const sizes = axes.map((axis) => fixedSize(site, shape[axis], `size of axis ${axis}`));
  const factors = axes.map((_, i) => Number(given[i]) / (sizes[i] ?? 1));
  const factor = policy === 'not_larger' ? Math.min(...factors) : Math.max(...factors);
  return new Map(axes.map((axis, i) => [axis, { output: Math.floor(factor * (sizes[i] ?? 1) + 0.5), scale: factor }]));
}

function byScale(site: Site, axis: number, scale: number): Resized {
  const size = shapeOf(site, 0)[axis] ?? 1;
  if (scale <= 0) throw malformed(site.node, `scales axis ${axis} by ${scale}`);
  if (typeof size === 'number') return { output: Math.floor(Math.fround(Math.fround(scale) * size)), scale };
  if (Number.isInteger(scale)) return { output: productOf([scale, size]), scale };
  if (Number.isInteger(1 / scale)) return { output: floorQuotientOf(size, 1 / scale), scale };
  return { output: unknownSize(site.node.name, `size.${axis}`), scale };
}

function bySize(input: Dimension | undefined, output: Dimension): Resized {
  if (input === output) return { output, scale: 1 };
  return { output, scale: Math.fround(Number(output) / Number(input)) };
}

function inferResize(site: Site): Known[] {
  const resized = resizedAxes(site);
  const shape = shapeOf(site, 0).map((size, axis) => resized.get(axis)?.output ?? size);
  return [{ dtype: inputOf(site, 0).dtype, shape }];
}

export /** A string attribute that must be one of a list; the first is the default. */
function oneOf<Value extends string>(node: Node, name: string, values: readonly [Value, ...Value[]]): Value {
  const given = stringOf(node, name, values[0]);
  const value = values.find((each) => each === given);
  if (value === undefined) throw malformed(node, `has ${name} '${given}', which is none of ${values.join(', ')}`);
  return value;
}

export function interpolationOf({ node }: Site): Interpolation {
  return {
    mode: oneOf(node, 'mode', interpolationModes),
    coordinates: oneOf(node, 'coordinate_transformation_mode', coordinateModes),
    nearest: oneOf(node, 'nearest_mode', nearestModes),
    cubicA: floatOf(node, 'cubic_coeff_a', -0.75),
    excludeOutside: intOf(node, 'exclude_outside', 0) === 1,
  };
}

/** The axes whose size or content changes, of known size. */
export function changedAxes(site: Site, { coordinates }: Interpolation): ResizedAxis[] {
  const shape = shapeOf(site, 0);
  const crops = coordinates === 'tf_crop_and_resize';
  const roi = crops ? (numbersOf(site, 1) ?? []) : [];
  const resized = [...resizedAxes(site)];
  return resized.flatMap(([axis, { output, scale }], i) => {
    const part: [number, number] = crops ? [roi[i] ?? 0, roi[i + resized.length] ?? 1] : [0, 1];
    if (output === shape[axis] && scale === 1 && part[0] === 0 && part[1] === 1) return [];
    const input = fixedSize(site, shape[axis], `size of axis ${axis}`);
    return [{ axis, input, output: fixedSize(site, output, `size of axis ${axis}`), scale, roi: part }];
  });
}

/** Each axis by itself, the last first: what was taken from each place, as a matrix product or as a sum of repetitions. */
function resizeGradient(site: GradientSite, build: GraphBuilder): string[] {
  const [dy] = site.outputGradients;
  if (dy === undefined) return [];
  if (intOf(site.node, 'antialias', 0) === 1)
    throw gradientMissing(site.node, 'smooths what it makes smaller (antialias), which has no gradient here');
  const how = interpolationOf(site);
  const axes = changedAxes(site, how).map((axis) => ({ ...axis, matrix: interpolationMatrix(axis, how) }));
  const repeated = axes.map((axis) => (axis.axis < 2 ? undefined : repetitionsOf(axis, axis.matrix)));
  if (axes.length > 0 && repeated.every((count) => count !== undefined)) {
    return [summed(dy, new Map(axes.map(({ axis }, i) => [axis, repeated[i] ?? 1])), build)];
  }
  return [axes.toReversed().reduce((gradient, axis) => takenBack(gradient, axis, build), dy)];
}

/** Sums over blocks, as a pool. */
function summed(dy: string, counts: ReadonlyMap<number, number>, build: GraphBuilder): string {
  const spatial = build.shapeOf(dy).length - 2;
  const kernel = Array.from({ length: spatial }, (_, i) => counts.get(i + 2) ?? 1);
  const means = build.add('AveragePool', [dy], { kernel_shape: kernel, strides: kernel });
  const taps = kernel.reduce((product, size) => product * size, 1);
  return build.add('Mul', [means, build.scalar(taps, dy)]);
}

interface MatrixAxis extends ResizedAxis {
  readonly matrix: Float64Array;
}

/** Along one axis M' dy, where y = M x. */
function takenBack(dy: string, along: MatrixAxis, build: GraphBuilder): string {
  const { axis, input, output, matrix } = along;
  const shape = build.shapeOf(dy);
  const last = shape.length - 1;
  const { dtype } = build.typeOf(dy);
  if (axis === last) {
    return build.add('MatMul', [dy, build.constant(floats(dtype, [output, input], matrix))]);
  }
  if (shape.filter((size) => typeof size === 'string').length > 1) {
    const perm = [...shape.keys()].with(axis, last).with(last, axis);
    const product = takenBack(build.add('Transpose', [dy], { perm }), { ...along, axis: last }, build);
    return build.add('Transpose', [product], { perm });
  }
  const turned = Float64Array.from(matrix, (_, i) => matrix[(i % output) * input + Math.floor(i / output)] ?? 0);
  const columns = productOf(shape.slice(axis + 1));
  const rows = reshapeTo(dy, [productOf(shape.slice(0, axis)), output, columns], { like: dy, build });
  const product = build.add('MatMul', [build.constant(floats(dtype, [input, output], turned)), rows]);
  return reshapeTo(product, shape.with(axis, input), { like: product, build });
}

export const resizeOperators: OperatorRows = {
  Resize: operator({
    infer: inferResize,
    gradient: resizeGradient,
    flops: ({ node }, [y]) => sizeOf(y) * (stringOf(node, 'mode', 'nearest') === 'nearest' ? 1 : 8),
  }),
};
