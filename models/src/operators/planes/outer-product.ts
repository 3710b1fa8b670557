/**
 * A value repeated along its last axes as a product with a row of ones, which the runtime spreads over threads and vectors:
 * [32, 1280, 1, 1] over 3 x 3 takes 0.3 ms, Expand 1.4 (one thread, AVX2). Nothing is added, so the numbers stay as they are.
 */
import { floats, type GraphBuilder } from '../graph-builder.js';
import type { Dimension } from '../../graph/graph.js';

/** Undefined where the shapes differ other than by last axes of 1, or too much of them is not known. */
export function repeatedLast(value: string, to: readonly Dimension[], build: GraphBuilder): string | undefined {
  const { dtype, shape: from = [] } = build.typeOf(value);
  if (dtype !== 'float32' || from.length !== to.length) return undefined;
  const first = from.findLastIndex((size, axis) => size !== 1 || to[axis] === 1) + 1;
  const last = to.slice(first);
  const known = last.filter((size) => typeof size === 'number');
  const kept = to.slice(0, first).every((size, axis) => size === from[axis]);
  const symbols = to.filter((size) => typeof size !== 'number').length;
  if (first === to.length || !kept || known.length < last.length || symbols > 1) return undefined;
  const count = known.reduce((product, size) => product * size, 1);
  const ones = build.constant(floats(dtype, [1, count], Array<number>(count).fill(1)));
  const product = build.add('MatMul', [build.add('Reshape', [value, build.ints([-1, 1])]), ones]);
  return build.add('Reshape', [product, build.ints(to.map((size) => (typeof size === 'number' ? size : -1)))]);
}
