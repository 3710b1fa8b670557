/** A data set in a safetensors file: features [N, F] and labels [N] to train on, and the same under holdOut. */
import { readFile } from 'node:fs/promises';

import { GraftError } from '@graft/core/error';
import { tensor, type Tensor, type Weights } from '@graft/core/tensor';
import { decodeSafetensors } from '@graft/models/formats/safetensors';

export interface Examples {
  /** [N, F] */
  readonly features: Tensor<'float32'>;
  readonly labels: Int32Array;
}

export interface DataSet {
  readonly train: Examples;
  readonly holdOut: Examples;
  /** Indices of the examples to train on, by label. */
  readonly byClass: readonly (readonly number[])[];
}

/** Throws DATA_UNSUITABLE where the file is not such a set. */
export async function openDataSet(file: string): Promise<DataSet> {
  const { weights } = decodeSafetensors(new Uint8Array(await readFile(file)));
  const train = examplesIn(weights, '');
  const byClass: number[][] = [];
  for (const [index, label] of train.labels.entries()) (byClass[label] ??= []).push(index);
  return { train, holdOut: examplesIn(weights, 'holdOut.'), byClass: Array.from(byClass, (indices) => indices ?? []) };
}

function examplesIn(weights: Weights, prefix: string): Examples {
  const [features, labels] = [weights.get(`${prefix}features`), weights.get(`${prefix}labels`)];
  const rows = labels?.shape[0];
  if (features?.dtype !== 'float32' || labels?.dtype !== 'int32' || features.shape[0] !== rows) {
    throw new GraftError(
      'DATA_UNSUITABLE',
      `the data of a simulation need ${prefix}features [N, F] float32 and labels [N] int32`,
    );
  }
  return { features, labels: labels.data };
}

/** Some rows, in the order given. */
export function rowsOf({ features, labels }: Examples, indices: readonly number[]): Examples {
  const [, length = 1] = features.shape;
  const data = new Float32Array(indices.length * length);
  indices.forEach((index, row) => data.set(features.data.subarray(index * length, (index + 1) * length), row * length));
  return {
    features: tensor('float32', [indices.length, length], data),
    labels: Int32Array.from(indices, (index) => labels[index] ?? 0),
  };
}
