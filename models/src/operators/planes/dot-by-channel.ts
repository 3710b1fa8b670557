/**
 * The sum of a product over examples and positions, by channel: what normalizations need of the gradient and their input.
 * In lanes one value is the kernel that the other is seen by, so nothing is written in between: 48 channels over 48 x 48 take 1.7 ms
 * against 3.3 of Mul and ReduceSum, 96 over 12 x 12 0.32 and 0.44 (batch 32, one thread, AVX2).
 */
import type { GraphBuilder } from '../graph-builder.js';
import { lanesOf, laneConv } from './lanes.js';
import { planesOf, type Planes } from './planes.js';

/** Two values [N, C, ...] of one shape to [C]. */
export function dotByChannel(a: string, b: string, build: GraphBuilder): string {
  const planes = planesOf(a, build);
  const lanes = lanesOf(planes, build.typeOf(a).dtype, build);
  if (planes !== undefined && lanes !== undefined && typeof planes.batch === 'number') {
    return byLanes(a, b, { planes, lanes, build });
  }
  return sumOver(build.add('Mul', [a, b]), build);
}

function byLanes(
  a: string,
  b: string,
  { planes, lanes, build }: { planes: Planes; lanes: number; build: GraphBuilder },
): string {
  const { channels, positions, batch } = planes;
  const all = Number(batch) * channels * lanes;
  const steps = positions / lanes;
  const value = build.add('Reshape', [a, build.ints([1, all, 1, steps])]);
  const kernel = build.add('Reshape', [b, build.ints([all, 1, 1, steps])]);
  const sums = laneConv([value, kernel], { channels: all, window: steps, steps, batch: 1 }, build);
  const byExample = build.add('Reshape', [sums, build.ints([-1, channels, lanes])]);
  const ofLanes = build.add('ReduceSum', [byExample, build.ints([2])], { keepdims: 0 });
  return build.add('ReduceSum', [ofLanes, build.ints([0])], { keepdims: 0 });
}

/** Rows first, which the runtime does twice as fast as all axes at once. */
function sumOver(value: string, build: GraphBuilder): string {
  const inner = build
    .shapeOf(value)
    .slice(2)
    .map((_, i) => i + 2);
  const rows = inner.length === 0 ? value : build.add('ReduceSum', [value, build.ints(inner)], { keepdims: 0 });
  return build.add('ReduceSum', [rows, build.ints([0])], { keepdims: 0 });
}
