/** Losses, each with its gradient by the logits. */
import { tensor } from '@graft/core/tensor';

import { castTo } from '../operators/broadcast.js';
import type { GraphBuilder } from '../operators/graph-builder.js';
import { fixedSizeOf } from './fixed-size.js';

export type LossSpec = 'softmax-cross-entropy';

export interface Loss {
  /** Scalar: the mean over the batch. */
  readonly loss: string;
  /** By the logits. */
  readonly gradient: string;
}

/**
 * loss = -1/N sum_i log softmax(logits_i)[label_i]; its gradient is (softmax(logits) - onehot(labels)) / N.
 * @param logits [N, classes]; @param labels int32 [N]
 */
export function softmaxCrossEntropy(logits: string, labels: string, build: GraphBuilder): Loss {
  const classes = fixedSizeOf(build.shapeOf(logits).at(-1), `classes of '${logits}'`);
  const logarithms = build.add('LogSoftmax', [logits], { axis: -1 });
  const column = build.add('Unsqueeze', [labels, build.ints([1])]);
  const all = build.constant(
    tensor(
      'int32',
      [1, classes],
      Int32Array.from({ length: classes }, (_, i) => i),
    ),
  );
  const { dtype } = build.typeOf(logits);
  const chosen = castTo(build.add('Equal', [column, all]), dtype, build);
  const count = castTo(build.add('Size', [labels]), dtype, build);
  const sum = build.add('ReduceSum', [build.add('Mul', [logarithms, chosen])], { keepdims: 0 });
  const probabilities = build.add('Exp', [logarithms]);
  return {
    loss: build.add('Neg', [build.add('Div', [sum, count])]),
    gradient: build.add('Div', [build.add('Sub', [probabilities, chosen]), count]),
  };
}
