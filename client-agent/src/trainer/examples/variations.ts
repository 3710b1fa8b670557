/** Which variant of an example stands in an epoch, what it is kept under, and how it is made. */
import { GraftError } from '@graft/core/error';
import { tensor } from '@graft/core/tensor';
import { augment, variantSeed, type PixelScale } from '@graft/models/pipeline/augmentation/augment';
import type { Augmentation, Changes } from '@graft/models/pipeline/augmentation/augmentation';
import type { ExampleTensors } from '@graft/models/pipeline/batches/example-tensors';

/** Augmentation of a task with the seed that this site was given. */
export interface Varying {
  readonly augmentation: Augmentation;
  readonly seed: number;
}

export interface Variation {
  readonly changes: Changes;
  readonly seed: number;
}

/** What is done to an example in front of the trunk in this epoch; undefined where it stays as it is. */
export function beforeTrunk(varying: Varying | undefined, hash: string, epoch: number): Variation | undefined {
  if (varying?.augmentation.place !== 'before-trunk') return undefined;
  const { variants, place: _, ...changes } = varying.augmentation;
  const number = variants === undefined ? epoch : epoch % variants;
  return { changes, seed: variantSeed(varying.seed, hash, number) };
}

/** What is done to the features behind the trunk in this epoch. */
export function afterTrunk(varying: Varying | undefined, hash: string, epoch: number): Variation | undefined {
  if (varying?.augmentation.place !== 'after-trunk') return undefined;
  const { mixup: _, place: __, ...changes } = varying.augmentation;
  return { changes, seed: variantSeed(varying.seed, hash, epoch) };
}

/** Whether what the trunk makes of a variant is worth keeping: not where every epoch makes new ones. */
export function isKept(varying: Varying | undefined): boolean {
  return varying?.augmentation.place !== 'before-trunk' || varying.augmentation.variants !== undefined;
}

/** The same for the same example, changes and seed. */
export function keyOfVariant(hash: string, { changes, seed }: Variation): string {
  return `${hash} ${seed} ${JSON.stringify(changes)}`;
}

/**
 * Every tensor of the example varied. Throws DATA_UNSUITABLE for tensors of whole numbers, which are words of a vocabulary.
 */
export function varied(example: ExampleTensors, { changes, seed }: Variation, pixels?: PixelScale): ExampleTensors {
  return Object.fromEntries(
    Object.entries(example).map(([name, value]) => {
      if (value.dtype !== 'float32')
        throw new GraftError('DATA_UNSUITABLE', `'${name}' is ${value.dtype}, which cannot be varied`);
      const floats = tensor('float32', value.shape, value.data);
      return [name, augment(floats, { changes, seed, ...(pixels !== undefined && { pixels }) })];
    }),
  );
}
