/** Features: what the frozen trunk makes of each example, computed once and then trained on again and again. */
import { GraftError } from '@graft/core/error';
import { elementCount, tensor, type Tensor } from '@graft/core/tensor';

import type { Session } from '../runtime/runtime.js';

export interface FeatureNames {
  /** The trunk's input and output. */
  readonly input: string;
  readonly output: string;
}

export interface Trunk {
  readonly session: Session;
  readonly names: FeatureNames;
  /** Shape of the features of one example. */
  readonly shape: readonly number[];
}

/**
 * The features of each example, in order, each without its batch dimension; views into one array a batch.
 * @param examples float32, all of one shape, without a batch dimension
 * @param batchSize examples a run; the last run may have fewer
 * Throws MODEL_MALFORMED where the trunk does not give one row of the shape for each example.
 */
export async function* computeFeatures(
  { session, names, shape }: Trunk,
  { examples, batchSize }: { examples: readonly Tensor<'float32'>[]; batchSize: number },
): AsyncGenerator<Tensor<'float32'>> {
  for (let begin = 0; begin < examples.length; begin += batchSize) {
    const batch = examples.slice(begin, begin + batchSize);
    const fetches = await session.run({ [names.input]: stack(batch) });
    yield* unstack(fetches[names.output], names.output, [batch.length, ...shape]);
  }
}

/** One tensor [count, ...shape] out of tensors of one shape. Throws a RangeError where a shape differs or there is none. */
export function stack(examples: readonly Tensor<'float32'>[]): Tensor<'float32'> {
  const [first] = examples;
  if (first === undefined) throw new RangeError('no examples to stack');
  const length = elementCount(first.shape);
  const data = new Float32Array(examples.length * length);
  for (const [i, { shape, data: values }] of examples.entries()) {
    if (shape.join() !== first.shape.join()) {
      throw new RangeError(`an example of shape [${shape.join(', ')}] among those of [${first.shape.join(', ')}]`);
    }
    data.set(values, i * length);
  }
  return tensor('float32', [examples.length, ...first.shape], data);
}

function* unstack(value: Tensor | undefined, name: string, expected: readonly number[]): Generator<Tensor<'float32'>> {
  if (value?.dtype !== 'float32' || value.shape.join() !== expected.join()) {
    const got = value === undefined ? 'nothing' : `${value.dtype} [${value.shape.join(', ')}]`;
    throw new GraftError(
      'MODEL_MALFORMED',
      `the trunk gives ${got} as '${name}', expected float32 [${expected.join(', ')}]`,
    );
  }
  const [count = 0, ...shape] = expected;
  const length = elementCount(shape);
  for (let i = 0; i < count; i++) yield tensor('float32', shape, value.data.subarray(i * length, (i + 1) * length));
}
