/**
 * The hold-out examples of a task: a safetensors blob with `labels` (int32 [N]) and either `images` (uint8 [N, height, width], grey)
 * or `features` (float32 [N, length]).
 */
import { GraftError } from '@graft/core/error';
import { tensor, type Tensor } from '@graft/core/tensor';
import { decodeSafetensors } from '@graft/models/formats/safetensors';
import { decodeImage } from '@graft/models/pipeline/image.adapter';
import type { Preprocessing } from '@graft/models/pipeline/preprocessing';

export interface Examples {
  /** float32, without a batch dimension. */
  readonly inputs: readonly Tensor<'float32'>[];
  readonly labels: Int32Array;
}

/** Throws HOLD_OUT_INVALID for a file that is not as above, or does not fit the preprocessing or the labels. */
export async function readHoldOut(bytes: Uint8Array, preprocessing: Preprocessing, classes: number): Promise<Examples> {
  const { weights } = decodeSafetensors(bytes);
  const labels = weights.get('labels');
  if (labels?.dtype !== 'int32' || labels.shape.length !== 1)
    throw invalid("has no int32 tensor 'labels' of one dimension");
  const wrong = labels.data.findIndex((label) => label < 0 || label >= classes);
  if (wrong >= 0) throw invalid(`has label ${labels.data[wrong]} at ${wrong}, the task has ${classes} classes`);
  const inputs =
    preprocessing.kind === 'image' ? await images(weights, preprocessing) : features(weights, preprocessing);
  if (inputs.length !== labels.data.length || inputs.length === 0) {
    throw invalid(`has ${inputs.length} examples and ${labels.data.length} labels`);
  }
  return { inputs, labels: labels.data };
}

async function images(
  weights: ReadonlyMap<string, Tensor>,
  preprocessing: Extract<Preprocessing, { kind: 'image' }>,
): Promise<Tensor<'float32'>[]> {
  const all = weights.get('images');
  const [count, height, width] = all?.shape ?? [];
  if (
    all?.dtype !== 'uint8' ||
    count === undefined ||
    height === undefined ||
    width === undefined ||
    all.shape.length !== 3
  ) {
    throw invalid("has no uint8 tensor 'images' of shape [N, height, width]");
  }
  const area = height * width;
  const { data } = all;
  const decode = (i: number): Promise<Tensor<'float32'>> =>
    decodeImage({ name: `example ${i}`, grey: data.subarray(i * area, (i + 1) * area), width, height }, preprocessing);
  return Promise.all(Array.from({ length: count }, (_, i) => decode(i)));
}

function features(
  weights: ReadonlyMap<string, Tensor>,
  { length }: Extract<Preprocessing, { kind: 'features' }>,
): Tensor<'float32'>[] {
  const all = weights.get('features');
  if (all?.dtype !== 'float32' || all.shape.length !== 2 || all.shape[1] !== length) {
    throw invalid(`has no float32 tensor 'features' of shape [N, ${length}]`);
  }
  const { data } = all;
  return Array.from({ length: all.shape[0] ?? 0 }, (_, i) =>
    tensor('float32', [length], data.subarray(i * length, (i + 1) * length)),
  );
}

function invalid(why: string): GraftError {
  return new GraftError('HOLD_OUT_INVALID', `the hold-out file ${why}`);
}
