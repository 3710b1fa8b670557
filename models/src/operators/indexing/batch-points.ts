/** Indices of GatherND within a batch, as indices of the whole tensor: https://onnx.ai/onnx/operators/onnx__GatherND.html */
import type { GraphBuilder } from '../graph-builder.js';
import { int, range, sizeOfAxis } from '../indexing.js';

/** `indices` [...batch, ..., depth] with the coordinates of the first `batchAxes` axes before the depth. */
export function overBatch(indices: string, batchAxes: number, build: GraphBuilder): string {
  if (batchAxes === 0) return indices;
  const rank = build.shapeOf(indices).length;
  // [...batch, ..., 1]: each coordinate is repeated over the other axes.
  const places = build.add('Concat', [build.add('Shape', [indices], { start: 0, end: rank - 1 }), build.ints([1])], {
    axis: 0,
  });
  const coordinates = range(0, batchAxes).map((axis) => {
    const size = build.add('Squeeze', [sizeOfAxis(indices, axis, build), build.ints([0])]);
    const along = build.add('Range', [int(0, build), size, int(1, build)]);
    const column = build.add('Reshape', [along, build.ints([-1, ...Array<number>(rank - 1 - axis).fill(1)])]);
    return build.add('Expand', [column, places]);
  });
  return build.add('Concat', [...coordinates, indices], { axis: -1 });
}
