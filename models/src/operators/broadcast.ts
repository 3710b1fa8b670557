/** Broadcasting as in NumPy, and its inverse, which gradients need: https://onnx.ai/onnx/repo-docs/Broadcasting.html */
import { dataTypeOf } from '../formats/onnx/data-types.js';
import type { Dimension } from '../graph/graph.js';
import { differenceOf, eitherOf } from './dimension.js';
import type { GraphBuilder } from './graph-builder.js';
import type { Known, Site } from './operator.js';
import { inputOf, malformed } from './site.js';
import { repeatedLast } from './planes/outer-product.js';

/** A symbol against a number above 1 is that number: only a batch of exactly that size fits. */
function common(site: Site, a: Dimension, b: Dimension): Dimension {
  if (typeof a === 'number' && typeof b === 'number' && a !== b && a !== 1 && b !== 1)
    throw malformed(site.node, `combines sizes ${a} and ${b}, which do not broadcast`);
  return eitherOf(a, b);
}

export function broadcast(site: Site, shapes: readonly (readonly Dimension[])[]): Dimension[] {
  const rank = Math.max(0, ...shapes.map(({ length }) => length));
  return Array.from({ length: rank }, (_, axis) =>
    shapes
      .map((shape) => shape[axis - rank + shape.length] ?? 1)
      .reduce((size, each) => common(site, size, each), 1 as Dimension),
  );
}

/**
 * The type of an operator whose inputs broadcast; the element type is that of the last one unless given.
 * Its shape is known where all of theirs are.
 */
export function broadcastType(site: Site, inputs: readonly number[], dtype?: Known['dtype']): Known {
  const shapes = inputs.map((index) => inputOf(site, index).shape);
  const given = shapes.filter((shape) => shape !== undefined);
  const shape = given.length === shapes.length ? broadcast(site, given) : undefined;
  return { dtype: dtype ?? inputOf(site, inputs.at(-1) ?? 0).dtype, ...(shape && { shape }) };
}

/**
 * Sums `gradient`, of the broadcast shape, over the axes along which `like` was repeated; the result has the shape of `like`.
 * Where a symbol leaves open whether an axis was repeated, the running graph finds out.
 */
export function unbroadcast(gradient: string, like: string, build: GraphBuilder): string {
  const [from, to] = [build.shapeOf(gradient), build.shapeOf(like)];
  const added = from.length - to.length;
  const open = to.some((size, axis) => typeof size === 'string' && differenceOf(size, from[axis + added] ?? 1) !== 0);
  if (open) return unbroadcastAsRun(gradient, { like, added }, build);
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

/** Sums over the axes where `like` turns out to have size 1, and over those that it does not have. */
function unbroadcastAsRun(
  gradient: string,
  { like, added }: { like: string; added: number },
  build: GraphBuilder,
): string {
  const shape = build.add('Shape', [like]);
  const ones = build.ints(Array<number>(added).fill(1));
  const aligned = added === 0 ? shape : build.add('Concat', [ones, shape], { axis: 0 });
  const single = build.add('Equal', [aligned, build.ints([1])]);
  const axes = build.add('Reshape', [build.add('NonZero', [single]), build.ints([-1])]);
  const sum = build.add('ReduceSum', [gradient, axes], { keepdims: 1, noop_with_empty_axes: 1 });
  return build.add('Reshape', [sum, shape]);
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
  const repeated = repeatedLast(value, to, build);
  if (repeated !== undefined) return repeated;
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
