/**
 * A value with its channels last, made once for all that read it so: [N, C, ...] to [N, ..., C].
 * A form that computes its result with channels last leaves it here too, and whoever wants it so needs no transpose.
 */
import type { GraphBuilder } from '../graph-builder.js';

const lastKey = (value: string): string => `channels last ${value}`;

export function toChannelsLast(value: string, build: GraphBuilder): string {
  const shape = build.shapeOf(value);
  const spatial = shape.slice(2).map((_, i) => i + 2);
  return build.once(lastKey(value), () => build.add('Transpose', [value], { perm: [0, ...spatial, 1] }));
}

/** The value [N, C, ...] of one that was computed with its channels last; named `output` where that must be so. */
export function toChannelsFirst(last: string, build: GraphBuilder, output?: string): string {
  const spatial = build
    .shapeOf(last)
    .slice(2)
    .map((_, i) => i + 1);
  const attributes = { perm: [0, spatial.length + 1, ...spatial] };
  const [value = ''] =
    output === undefined
      ? [build.add('Transpose', [last], attributes)]
      : build.addNamed('Transpose', [last], { attributes, outputs: [output] });
  build.remember(lastKey(value), last);
  return value;
}

/** Pixels as rows: [N, ..., count] to [N L, count]. */
export function rowsOf(last: string, count: number, build: GraphBuilder): string {
  return build.once(`rows ${last}`, () => build.add('Reshape', [last, build.ints([-1, count])]));
}
