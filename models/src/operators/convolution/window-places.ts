/** Which places of a plane each tap of a window sees. */
import type { FixedAxis } from '../window.js';

/** For each tap and output position the input place that it sees, -1 in the padding; all in row-major order. */
export function seenPlaces({ axes }: { readonly axes: readonly FixedAxis[] }): number[][] {
  return axes.reduce<number[][]>(
    (outer, axis) => {
      const inner = seenAlong(axis);
      return outer.flatMap((rows) =>
        inner.map((columns) =>
          rows.flatMap((row) => columns.map((place) => (row < 0 || place < 0 ? -1 : row * axis.input + place))),
        ),
      );
    },
    [[0]],
  );
}

function seenAlong({ kernel, output, stride, dilation, begin, input }: FixedAxis): number[][] {
  return Array.from({ length: kernel }, (_, tap) =>
    Array.from({ length: output }, (__, position) => {
      const place = position * stride + tap * dilation - begin;
      return place >= 0 && place < input ? place : -1;
    }),
  );
}
