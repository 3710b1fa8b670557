/** A stored tensor as a model takes it: float32, centred and scaled. */
import { GraftError } from '@graft/core/error';
import { elementCount, tensor, type Tensor } from '@graft/core/tensor';

import type { ExampleTensors } from '../batches/example-tensors.js';
import type { TensorPreprocessing } from '../preprocessing.js';

/**
 * (x - mean) / std in double precision, rounded once.
 * Throws DATA_UNSUITABLE for another shape or means that do not fit the last axis, RECORD_UNUSABLE for a value that is not finite.
 */
export function tensorExample(value: Tensor, { shape, mean, std }: TensorPreprocessing, name: string): ExampleTensors {
  if (value.shape.join() !== shape.join()) {
    throw new GraftError(
      'DATA_UNSUITABLE',
      `${name} is [${value.shape.join(', ')}], the model takes [${shape.join(', ')}]`,
    );
  }
  if (value.dtype === 'float16') throw new GraftError('DATA_UNSUITABLE', `${name} is float16, which was not widened`);
  const channels = shape.at(-1) ?? 1;
  const means = perChannel(mean, channels, 'mean');
  const deviations = perChannel(std, channels, 'std');
  const result = new Float32Array(elementCount(shape));
  for (let i = 0; i < result.length; i++) {
    const channel = i % channels;
    const x = (Number(value.data[i] ?? NaN) - (means[channel] ?? 0)) / (deviations[channel] ?? 1);
    result[i] = x;
    if (!Number.isFinite(result[i])) {
      throw new GraftError('RECORD_UNUSABLE', `${name} has ${value.data[i]} at ${i}, which is no finite number`);
    }
  }
  return { x: tensor('float32', shape, result) };
}

function perChannel(given: number | readonly number[], channels: number, what: string): readonly number[] {
  if (typeof given === 'number') return Array.from({ length: channels }, () => given);
  if (given.length === channels) return given;
  throw new GraftError(
    'DATA_UNSUITABLE',
    `the task has ${given.length} values of ${what}, the last axis has ${channels}`,
  );
}
