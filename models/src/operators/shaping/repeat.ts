/** Operators that repeat numbers along axes, or change the order of axes: https://onnx.ai/onnx/operators/onnx__Expand.html */
import type { Dimension } from '../../graph/graph.js';
import { broadcast, reshapeTo, unbroadcast } from '../broadcast.js';
import { productOf, unknownSize } from '../dimension.js';
import type { GraphBuilder } from '../graph-builder.js';
import { knownNumbers, knownOf, movedElements } from '../known.js';
import { movement, type GradientSite, type Known, type OperatorRows, type Site } from '../operator.js';
import { axisOf, inputOf, intsOf, malformed, shapeOf, sizesOf } from '../site.js';
import { unknownShape } from './reshape.js';

function permutation(site: Site): readonly number[] {
  const rank = shapeOf(site, 0).length;
  const perm = intsOf(site.node, 'perm') ?? [...Array(rank).keys()].reverse();
  if (perm.length !== rank) throw malformed(site.node, `permutes ${perm.length} axes, the rank is ${rank}`);
  if (new Set(perm).size < rank) throw malformed(site.node, `permutes an axis twice: [${perm.join(', ')}]`);
  return perm.map((axis) => axisOf(site.node, axis, rank));
}

function inferTranspose(site: Site): Known[] {
  const from = inputOf(site, 0);
  if (from.shape === undefined) return [knownOf(from.dtype, undefined)];
  const perm = permutation(site);
  const shape = perm.map((axis) => from.shape?.[axis] ?? 1);
  const source = (place: readonly number[]): number[] => perm.map((_, axis) => place[perm.indexOf(axis)] ?? 0);
  return [knownOf(from.dtype, shape, movedElements(from, shape, source))];
}

/** The place that a place of the result repeats, of a shape that is aligned at the last axis. */
const wrapped =
  (shape: readonly Dimension[]) =>
  (place: readonly number[]): number[] =>
    shape.map((size, axis) => (place[axis + place.length - shape.length] ?? 0) % Number(size));

function inferExpand(site: Site): Known[] {
  const from = inputOf(site, 0);
  const target = sizesOf(site, 1) ?? unknownShape(site, 1);
  if (from.shape === undefined || target === undefined) return [knownOf(from.dtype, undefined)];
  const shape = broadcast(site, [from.shape, target]);
  return [knownOf(from.dtype, shape, movedElements(from, shape, wrapped(from.shape)))];
}

function inferTile(site: Site): Known[] {
  const from = inputOf(site, 0);
  const repeats = sizesOf(site, 1);
  const shape = from.shape?.map((size, axis) => {
    const repeat = repeats?.[axis];
    return repeat === undefined ? unknownSize(site.node.name, `axis${axis}`) : productOf([size, repeat]);
  });
  return [knownOf(from.dtype, shape, from.shape && movedElements(from, shape, wrapped(from.shape)))];
}

/** Each axis as repeats and own size; the sum over the repeats. */
function tileGradient(site: GradientSite, build: GraphBuilder): string[] {
  const [dy] = site.outputGradients;
  const [x = '', repeats = ''] = site.node.inputs;
  if (dy === undefined) return [];
  const shape = shapeOf(site, 0);
  const counts = knownNumbers(site, 1);
  if (counts === undefined || shape.filter((size) => typeof size === 'string').length > 1)
    return [tileGradientAsRun({ dy, x, repeats, rank: shape.length }, build)];
  const pairs = shape.flatMap((size, axis): Dimension[] => (counts[axis] === 1 ? [size] : [counts[axis] ?? 1, size]));
  const axes: number[] = [];
  let place = 0;
  for (const count of counts) {
    if (count !== 1) axes.push(place);
    place += count === 1 ? 1 : 2;
  }
  if (axes.length === 0) return [dy];
  const split = reshapeTo(dy, pairs, { like: dy, build });
  return [build.add('ReduceSum', [split, build.ints(axes)], { keepdims: 0 })];
}

function tileGradientAsRun(
  { dy, x, repeats, rank }: { dy: string; x: string; repeats: string; rank: number },
  build: GraphBuilder,
): string {
  const shape = build.add('Shape', [x]);
  const column = (vector: string): string => build.add('Unsqueeze', [vector, build.ints([1])]);
  const pairs = build.add('Concat', [column(repeats), column(shape)], { axis: 1 });
  const split = build.add('Reshape', [dy, build.add('Reshape', [pairs, build.ints([2 * rank])])]);
  const axes = build.ints(Array.from({ length: rank }, (_, axis) => 2 * axis));
  return build.add('Reshape', [build.add('ReduceSum', [split, axes], { keepdims: 0 }), shape]);
}

export const repeatOperators: OperatorRows = {
  Expand: movement({
    infer: inferExpand,
    gradient: ({ node, outputGradients: [dy] }, build) =>
      dy === undefined ? [] : [unbroadcast(dy, node.inputs[0] ?? '', build)],
  }),
  Tile: movement({ infer: inferTile, gradient: tileGradient }),
  Transpose: movement({
    infer: inferTranspose,
    gradient: (site, build) => {
      const [dy] = site.outputGradients;
      const perm = permutation(site);
      return dy === undefined
        ? []
        : [build.add('Transpose', [dy], { perm: perm.map((_, axis) => perm.indexOf(axis)) })];
    },
  }),
};
