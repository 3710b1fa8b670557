/** Values by channel, the second axis of [N, C, ...]. */
import type { GraphBuilder } from '../graph-builder.js';

/** A vector [C] as [C, 1, ...], which broadcasts over a value of the rank. */
export function alongChannels(vector: string, rank: number, build: GraphBuilder): string {
  return rank <= 2 ? vector : build.add('Reshape', [vector, build.ints([-1, ...Array<number>(rank - 2).fill(1)])]);
}

/** The sum or mean over all axes but the channels, [C]: rows first, which the runtime does twice as fast as all at once. */
export function overChannels(op: 'ReduceSum' | 'ReduceMean', value: string, build: GraphBuilder): string {
  const inner = build
    .shapeOf(value)
    .slice(2)
    .map((_, axis) => axis + 2);
  const rows = inner.length === 0 ? value : build.add(op, [value, build.ints(inner)], { keepdims: 0 });
  return build.add(op, [rows, build.ints([0])], { keepdims: 0 });
}
