/** Logits of many examples, batch by batch. */
import { GraftError } from '@graft/core/error';
import { elementCount, tensor, type Tensor } from '@graft/core/tensor';

import type { Session } from '../runtime/runtime.js';

export interface LogitNames {
  /** The model's input. */
  readonly input: string;
  /** 'logits' unless given. */
  readonly output?: string;
}

/**
 * @param session of a model with one input [N, ...] and the output [N, classes]
 * @param examples features [N, ...] and how many rows a run takes
 * @returns [N, classes]. Throws DATA_EMPTY without rows, MODEL_MALFORMED where the model gives other than one row an example
 */
export async function predictLogits(
  session: Session,
  { input, output = 'logits' }: LogitNames,
  { features, batchSize }: { features: Tensor<'float32'>; batchSize: number },
): Promise<Tensor<'float32'>> {
  const [count = 0, ...shape] = features.shape;
  if (count === 0) throw new GraftError('DATA_EMPTY', 'there is no example to predict');
  const length = elementCount(shape);
  let logits: Float32Array | undefined;
  for (let begin = 0; begin < count; begin += batchSize) {
    const rows = Math.min(batchSize, count - begin);
    const batch = tensor('float32', [rows, ...shape], features.data.subarray(begin * length, (begin + rows) * length));
    const value = (await session.run({ [input]: batch }))[output];
    if (value?.dtype !== 'float32' || value.shape.length !== 2 || value.shape[0] !== rows) {
      throw new GraftError(
        'MODEL_MALFORMED',
        `the model gives ${value?.dtype ?? 'no'} [${value?.shape.join(', ') ?? ''}] as '${output}' for ${rows} examples`,
      );
    }
    const classes = value.shape[1] ?? 0;
    logits ??= new Float32Array(count * classes);
    logits.set(value.data, begin * classes);
  }
  const data = logits ?? new Float32Array(0);
  return tensor('float32', [count, data.length / count], data);
}
