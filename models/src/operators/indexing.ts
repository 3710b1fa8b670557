/** What rules write to take tensors apart and put them together: https://onnx.ai/onnx/operators/onnx__Slice.html */
import { tensor } from '@graft/core/tensor';

import type { GraphBuilder } from './graph-builder.js';

/** Zeros before and after along some axes; `amounts` as Pad takes them. */
export function pad(
  value: string,
  amounts: readonly number[],
  { axes, build }: { axes: readonly number[]; build: GraphBuilder },
): string {
  if (amounts.every((amount) => amount === 0)) return value;
  // Amounts of all axes: ONNX Runtime 1.30 mistakes those of some axes when it moves a Transpose past the Pad.
  const rank = build.shapeOf(value).length;
  const all = Array<number>(2 * rank).fill(0);
  for (const [i, axis] of axes.entries()) {
    all[axis] = amounts[i] ?? 0;
    all[rank + axis] = amounts[axes.length + i] ?? 0;
  }
  return build.add('Pad', [value, build.ints(all), build.scalar(0, value)]);
}

/** Part of a value along axes: [start, start + size x step) in steps. */
export function slice(
  value: string,
  ranges: readonly { axis: number; start: number; end: number; step?: number }[],
  build: GraphBuilder,
): string {
  const of = (pick: (range: (typeof ranges)[number]) => number): string => build.ints(ranges.map(pick));
  return build.add('Slice', [
    value,
    of(({ start }) => start),
    of(({ end }) => end),
    of(({ axis }) => axis),
    of(({ step }) => step ?? 1),
  ]);
}

/** Zeros of the shape of a value. */
export function zerosLike(value: string, build: GraphBuilder): string {
  return build.add('Expand', [build.scalar(0, value), build.add('Shape', [value])]);
}

/** Whole numbers from `begin` up to and without `end`. */
export const range = (begin: number, end: number): number[] =>
  Array.from({ length: Math.max(0, end - begin) }, (_, i) => begin + i);

/** A scalar of int64. */
export const int = (value: number, build: GraphBuilder): string =>
  build.constant(tensor('int64', [], BigInt64Array.of(BigInt(value))));

/** The size of one axis of a value as a vector of one number, as it turns out. */
export const sizeOfAxis = (value: string, axis: number, build: GraphBuilder): string =>
  build.add('Shape', [value], { start: axis, end: axis + 1 });
