/** Integer labels as rows of zeros and ones. */
import { tensor } from '@graft/core/tensor';

import { castTo } from '../../operators/broadcast.js';
import type { GraphBuilder } from '../../operators/graph-builder.js';
import { fixedSizeOf } from '../fixed-size.js';

/** Of the shape and type of `logits` [..., C]; a label outside of 0 to C - 1 gives a row of zeros. @param labels int32 [...] */
export function oneHot(labels: string, logits: string, build: GraphBuilder): string {
  const shape = build.shapeOf(logits);
  const classes = fixedSizeOf(shape.at(-1), `classes of '${logits}'`);
  const column = build.add('Unsqueeze', [labels, build.ints([shape.length - 1])]);
  const numbers = Int32Array.from({ length: classes }, (_, i) => i);
  const row = [...Array<number>(shape.length - 1).fill(1), classes];
  return castTo(
    build.add('Equal', [column, build.constant(tensor('int32', row, numbers))]),
    build.typeOf(logits).dtype,
    build,
  );
}
