/** Examples as the first tensor of a model sees them. An example that cannot be read is skipped, counted and named. */
import { GraftError } from '@graft/core/error';
import { tensor, type Tensor } from '@graft/core/tensor';
import { decodeImage } from '@graft/models/pipeline/image.adapter';
import type { Preprocessing } from '@graft/models/pipeline/preprocessing';

import type { ExampleSource } from '../data/dataset.js';

/**
 * One example, without a batch dimension.
 * @throws IMAGE_UNREADABLE; DATA_UNSUITABLE where the example is of another kind or length than the model takes
 */
export async function preprocess(
  source: ExampleSource,
  preprocessing: Preprocessing,
  name: string,
): Promise<Tensor<'float32'>> {
  if (source.kind === 'image') {
    if (preprocessing.kind !== 'image') {
      throw new GraftError(
        'DATA_UNSUITABLE',
        `${name} is an image, the model takes rows of ${preprocessing.length} numbers`,
      );
    }
    return decodeImage({ file: source.path }, preprocessing);
  }
  if (preprocessing.kind !== 'features') {
    throw new GraftError('DATA_UNSUITABLE', `${name} is a row of numbers, the model takes images`);
  }
  if (source.values.length !== preprocessing.length) {
    throw new GraftError(
      'DATA_UNSUITABLE',
      `${name} has ${source.values.length} numbers, the model takes ${preprocessing.length}`,
    );
  }
  return tensor('float32', [source.values.length], source.values);
}
