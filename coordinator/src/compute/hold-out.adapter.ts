/**
 * The hold-out examples of a task: a safetensors blob with `labels` (int32 [N]) and, for images, `images` (uint8 [N, height, width], grey);
 * for rows of numbers `features` (float32 [N, length]); for tables, texts and tensors what preprocessing makes of them, by name:
 * `numbers` and `categories`, `input_ids` and the others, `x`.
 */
import { GraftError } from '@graft/core/error';
import { bytesOf, bytesPerElement, elementCount, tensorFromBytes, type Tensor } from '@graft/core/tensor';
import { decodeSafetensors } from '@graft/models/formats/safetensors';
import { decodeImage } from '@graft/models/pipeline/image.adapter';
import type { ExampleTensors } from '@graft/models/pipeline/batches/example-tensors';
import { exampleInputs, type Preprocessing } from '@graft/models/pipeline/preprocessing';

export interface Examples {
  /** Without a batch dimension. */
  readonly inputs: readonly ExampleTensors[];
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
    preprocessing.kind === 'image' ? await images(weights, preprocessing) : prepared(weights, preprocessing);
  if (inputs.length !== labels.data.length || inputs.length === 0) {
    throw invalid(`has ${inputs.length} examples and ${labels.data.length} labels`);
  }
  return { inputs, labels: labels.data };
}

async function images(
  weights: ReadonlyMap<string, Tensor>,
  preprocessing: Extract<Preprocessing, { kind: 'image' }>,
): Promise<ExampleTensors[]> {
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
  const decode = async (i: number): Promise<ExampleTensors> => {
    const grey = data.subarray(i * area, (i + 1) * area);
    return { x: await decodeImage({ name: `example ${i}`, grey, width, height }, preprocessing) };
  };
  return Promise.all(Array.from({ length: count }, (_, i) => decode(i)));
}

/** Tensors [N, ...] under the names of the example's inputs; a row of numbers is called 'features'. */
function prepared(weights: ReadonlyMap<string, Tensor>, preprocessing: Preprocessing): ExampleTensors[] {
  const wanted = exampleInputs(preprocessing).map(({ name, ...input }) => {
    const stored = preprocessing.kind === 'features' ? 'features' : name;
    const all = weights.get(stored);
    if (all?.dtype !== input.dtype || all.shape.slice(1).join() !== input.shape.join() || all.shape.length === 0) {
      throw invalid(`has no ${input.dtype} tensor '${stored}' of shape [N, ${input.shape.join(', ')}]`);
    }
    return [name, all] as const;
  });
  const counts = wanted.map(([, { shape }]) => shape[0] ?? 0);
  const count = Math.min(...counts);
  if (counts.some((other) => other !== count)) throw invalid(`has tensors of ${counts.join(' and ')} examples`);
  return Array.from({ length: count }, (_, i) =>
    Object.fromEntries(wanted.map(([name, all]) => [name, rowOf(all, i)])),
  );
}

function rowOf(all: Tensor, row: number): Tensor {
  const shape = all.shape.slice(1);
  const rowBytes = elementCount(shape) * bytesPerElement[all.dtype];
  return tensorFromBytes(all.dtype, shape, bytesOf(all).subarray(row * rowBytes, (row + 1) * rowBytes));
}

function invalid(why: string): GraftError {
  return new GraftError('HOLD_OUT_INVALID', `the hold-out file ${why}`);
}
