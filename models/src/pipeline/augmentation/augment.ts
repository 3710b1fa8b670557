/** One seeded variant of an example: the same seed gives the same bits, on whichever worker and in whatever order. */
import { GraftError } from '@graft/core/error';
import { random, seedFrom, type Random } from '@graft/core/random';
import { tensor, type Tensor } from '@graft/core/tensor';

import type { Changes } from './augmentation.js';
import { jitterColour } from './colour.js';
import { resample, type Affine } from './resample.js';

/** Value of a pixel in the model's terms: pixel * scale + offset, by channel; contrast turns about grey, not about 0. */
export interface PixelScale {
  readonly scale: number | readonly number[];
  readonly offset: number | readonly number[];
}

export interface Variation {
  readonly changes: Changes;
  readonly seed: number;
  /** Of a preprocessed image; features have none and colours are left alone. */
  readonly pixels?: PixelScale;
}

/**
 * A varied copy of the same shape.
 * Throws DATA_UNSUITABLE where an image's changes are asked of something else than [channels, height, width].
 */
export function augment(value: Tensor<'float32'>, { changes, seed, pixels }: Variation): Tensor<'float32'> {
  const source = random(seed);
  let data: Float32Array = value.data.slice();
  const affine = affineOf(changes, source);
  const isImage = value.shape.length === 3;
  if ((affine !== undefined || changes.colour !== undefined) && !isImage) {
    throw new GraftError(
      'DATA_UNSUITABLE',
      `crop, flip, rotation and colour need [channels, height, width], an example is [${value.shape.join(', ')}]`,
    );
  }
  const [channels = 1, height = 1, width = 1] = value.shape;
  if (affine !== undefined) data = resample(data, { channels, height, width }, affine);
  if (changes.colour !== undefined && pixels !== undefined) {
    jitterColour(data, { channels, pixels, strength: changes.colour }, source);
  }
  const { noise } = changes;
  if (noise !== undefined && noise > 0)
    for (let i = 0; i < data.length; i++) data[i] = (data[i] ?? 0) + noise * source.normal();
  return tensor('float32', value.shape, data);
}

/** Undefined where the changes move nothing; every draw is made whatever it gives, so that one setting does not shift the next. */
function affineOf({ crop, flip, rotation }: Changes, source: Random): Affine | undefined {
  const [area, left, top, mirror, turn] = [source.next(), source.next(), source.next(), source.next(), source.next()];
  if (crop === undefined && flip === undefined && rotation === undefined) return undefined;
  const size = crop === undefined ? 1 : Math.sqrt(crop.minArea + area * (1 - crop.minArea));
  return {
    size,
    left: left * (1 - size),
    top: top * (1 - size),
    mirrored: mirror < (flip ?? 0),
    radians: ((2 * turn - 1) * (rotation ?? 0) * Math.PI) / 180,
  };
}

/** The seed of one example's variant: the same wherever and whenever it is made. */
export function variantSeed(seed: number, exampleHash: string, variant: number): number {
  return seedFrom('variant', seed, exampleHash, variant);
}
