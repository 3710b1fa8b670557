/** Broadcasting as in NumPy, and its inverse, which gradients need: https://onnx.ai/onnx/repo-docs/Broadcasting.html */
import { dataTypeOf } from '../formats/onnx/data-types.js';
import type { Dimension } from '../graph/graph.js';
import type { GraphBuilder } from './graph-builder.js';
import type { Known, Site } from './operator.js';
import { inputOf, malformed, shapeOf } from './site.js';

/** A symbol against a number above 1 is that number: only a batch of exactly that size fits. */
function common(site: Site, a: Dimension, b: Dimension): Dimension {
  if (a === b || b === 1) return a;
  if (a === 1) return b;
  if (typeof a === 'string') return b;
  if (typeof b === 'string') return a;
  throw malformed(site.node, `combines sizes ${a} and ${b}, which do not broadcast`);
}

export function broadcast(site: Site, shapes: readonly (readonly Dimension[])[]): Dimension[] {
  const rank = Math.max(0, ...shapes.map(({ length }) => length));
  return Array.from({ length: rank }, (_, axis) =>
    shapes
      .map((shape) => shape[axis - rank + shape.length] ?? 1)
      .reduce((size, each) => common(site, size, each), 1 as Dimension),
  );
}

/** The type of an operator whose inputs broadcast; the element type is that of input `like` unless given. */
export function broadcastType(site: Site, inputs: readonly number[], dtype?: Known['dtype']): Known {
  const shape = broadcast(
    site,
    inputs.map((index) => shapeOf(site, index)),
  );
  return { dtype: dtype ?? inputOf(site, inputs.at(-1) ?? 0).dtype, shape };
}

/**
 * Sums `gradient`, of the broadcast shape, over the axes along which `like` was repeated; the result has the shape of `like`.
 * An axis that is a symbol on one side counts as not repeated.
 */
export function unbroadcast(gradient: string, like: string, build: GraphBuilder): string {
  const [from, to] = [build.shapeOf(gradient), build.shapeOf(like)];
  const added = from.length - to.length;
  const axes = from.flatMap((size, axis) => {
    const target = axis < added ? undefined : to[axis - added];
    return target === undefined || (target === 1 && size !== 1) ? [axis] : [];
  });
  if (axes.length === 0) return gradient;
  // The last axes first: summing contiguous rows is what the runtime does fastest.
  const inner = axes.filter((axis) => axis > 1);
  const outer = axes.filter((axis) => axis <= 1);
  let sum = gradient;
  if (inner.length > 0 && outer.length > 0) sum = build.add('ReduceSum', [sum, build.ints(inner)], { keepdims: 1 });
  sum = build.add('ReduceSum', [sum, build.ints(inner.length > 0 && outer.length > 0 ? outer : axes)], { keepdims: 1 });
  return added === 0 ? sum : reshapeLike(sum, like, build);
}

/** `value` in the shape of `like`, which has as many elements. */
export function reshapeLike(value: string, like: string, build: GraphBuilder): string {
  return reshapeTo(value, build.shapeOf(like), { like, build });
}

/** Reshape to a shape of which at most one dimension is a symbol, else to the shape of `like` as it is when the graph runs. */
export function reshapeTo(
  value: string,
  shape: readonly Dimension[],
  { like, build }: { like: string; build: GraphBuilder },
): string {
  const symbols = shape.filter((size) => typeof size === 'string').length;
  if (symbols > 1) return build.add('Reshape', [value, build.add('Shape', [like])]);
  return build.add('Reshape', [value, build.ints(shape.map((size) => (typeof size === 'string' ? -1 : size)))]);
}

/**
 * Repeats `value` along axes where it has size 1, to the shape of `like` (same rank).
 */
export function expandLike(value: string, like: string, build: GraphBuilder): string {
  const [from, to] = [build.shapeOf(value), build.shapeOf(like)];
  const symbolic = to.some((size, axis) => typeof size === 'string' && from[axis] !== size);
  if (symbolic) return build.add('Expand', [value, build.add('Shape', [like])]);
  const target = to.map((size, axis) => (typeof size === 'string' || from[axis] === size ? 1 : size));
  return target.every((size) => size === 1) ? value : build.add('Expand', [value, build.ints(target)]);
}

/** 1 where `condition` holds, else 0, in the element type of `like`. */
export function maskOf(condition: string, like: string, build: GraphBuilder): string {
  return castTo(condition, build.typeOf(like).dtype, build);
}

export function castTo(value: string, dtype: Known['dtype'], build: GraphBuilder): string {
  return build.add('Cast', [value], { to: dataTypeOf[dtype] });
}
