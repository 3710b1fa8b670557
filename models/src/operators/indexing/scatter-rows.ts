/** The inverse of taking rows: each row of a gradient is added to where it was taken from. */
import type { Dimension } from '../../graph/graph.js';
import { castTo } from '../broadcast.js';
import type { GraphBuilder } from '../graph-builder.js';
import { range, sizeOfAxis } from '../indexing.js';

export interface TakenRows {
  /** What was taken, with the axes of `indices` in place of `axis`. */
  readonly rows: string;
  /** int64 or int32 of any rank, negative ones counted from the end. */
  readonly indices: string;
  readonly axis: number;
  /** A value whose size along `axis` is that of the result. */
  readonly like: string;
}

/** Shape: that of `rows` with `axis` as long as in `like`. The axis is brought to the front, since only there rows are added. */
export function scatterRows({ rows, indices, axis, like }: TakenRows, build: GraphBuilder): string {
  const indexRank = build.shapeOf(indices).length;
  // Gather takes int32 too, ScatterND does not.
  const wide = build.typeOf(indices).dtype === 'int64' ? indices : castTo(indices, 'int64', build);
  const points = build.add('Unsqueeze', [wide, build.ints([-1])]);
  const rank = build.shapeOf(rows).length - indexRank + 1;
  const front =
    axis === 0
      ? rows
      : build.add('Transpose', [rows], {
          perm: [...range(axis, axis + indexRank), ...range(0, axis), ...range(axis + indexRank, rank - 1 + indexRank)],
        });
  const zeros = zerosOfRows(front, { indexRank, axis, like }, build);
  const sum = build.add('ScatterND', [zeros, points, front], { reduction: 'add' });
  if (axis === 0) return sum;
  const order = [axis, ...range(0, axis), ...range(axis + 1, rank)];
  return build.add('Transpose', [sum], { perm: range(0, rank).map((i) => order.indexOf(i)) });
}

/** [size of the axis, ...sizes of a row]; a constant where all are numbers. */
function zerosOfRows(
  front: string,
  { indexRank, axis, like }: { indexRank: number; axis: number; like: string },
  build: GraphBuilder,
): string {
  const row = build.shapeOf(front).slice(indexRank);
  const shape: Dimension[] = [build.shapeOf(like)[axis] ?? 1, ...row];
  const numbers = shape.filter((size) => typeof size === 'number');
  const target =
    numbers.length === shape.length
      ? build.ints(numbers)
      : build.add('Concat', [sizeOfAxis(like, axis, build), build.add('Shape', [front], { start: indexRank })], {
          axis: 0,
        });
  return build.add('Expand', [build.scalar(0, front), target]);
}
