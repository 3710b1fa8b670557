/** One image, decoded and varied: a function of the job alone, so that it does not matter which thread does it. */
import type { ErrorCode } from '@graft/core/error';
import type { Tensor } from '@graft/core/tensor';
import { augment } from '@graft/models/pipeline/augmentation/augment';
import type { Changes } from '@graft/models/pipeline/augmentation/augmentation';
import { decodeImage } from '@graft/models/pipeline/image.adapter';
import type { ImagePreprocessing } from '@graft/models/pipeline/preprocessing';

export interface DecodeJob {
  readonly path: string;
  /** Stands in errors. */
  readonly name: string;
  readonly preprocessing: ImagePreprocessing;
  /** What is varied, and by which seed. */
  readonly variation?: { readonly changes: Changes; readonly seed: number };
}

/** What a thread answers. */
export type DecodeAnswer =
  | { readonly ok: true; readonly value: Tensor<'float32'> }
  | { readonly ok: false; readonly code: ErrorCode; readonly message: string };

/** Throws IMAGE_UNREADABLE. */
export async function decodeJob({ path, preprocessing, variation }: DecodeJob): Promise<Tensor<'float32'>> {
  const value = await decodeImage({ file: path }, preprocessing);
  return variation === undefined ? value : augment(value, { ...variation, pixels: preprocessing });
}
