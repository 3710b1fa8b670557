/** Resampling against PyTorch's grid_sample: test/vectors/make_augmentation_vectors.py wrote the numbers, in float64. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { tensor } from '@graft/core/tensor';
import { assert, integer, property } from 'fast-check';

import { augment, variantSeed } from './augment.js';
import { augmentationSchema } from './augmentation.js';
import { mixup } from './mixup.js';
import { resample, type Affine } from './resample.js';

const vectors = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../../../test/vectors/augmentation.json'), 'utf8'),
) as { shape: [number, number, number]; data: number[]; cases: { affine: Affine; data: number[] }[] };

const [channels, height, width] = vectors.shape;
const image = tensor('float32', vectors.shape, Float32Array.from(vectors.data));
const all = {
  crop: { minArea: 0.4 },
  flip: 0.5,
  rotation: 20,
  colour: { brightness: 0.3, contrast: 0.3, saturation: 0.3 },
  noise: 0.1,
};
const pixels = { scale: 1, offset: 0 };

describe('a resampled image', () => {
  it.each(vectors.cases)('is that of PyTorch: $affine', ({ affine, data }) => {
    const got = resample(image.data, { channels, height, width }, affine);
    for (const [i, value] of got.entries()) expect(value).toBeCloseTo(data[i] ?? NaN, 4);
  });
});

describe('a variant of an example', () => {
  it('is the same for the same seed, and another for another', () => {
    assert(
      property(integer(), integer(), (a, b) => {
        const first = augment(image, { changes: all, seed: a, pixels });
        expect(augment(image, { changes: all, seed: a, pixels })).toEqual(first);
        if (a >>> 0 !== b >>> 0) expect(augment(image, { changes: all, seed: b, pixels })).not.toEqual(first);
      }),
      { numRuns: 30 },
    );
  });

  it('without changes is the example, and leaves it as it was', () => {
    const before = image.data.slice();
    expect(augment(image, { changes: {}, seed: 7 })).toEqual(image);
    augment(image, { changes: all, seed: 7, pixels });
    expect(image.data).toEqual(before);
  });

  it('is mirrored always with a probability of 1, never with 0, and twice is the image again', () => {
    const once = augment(image, { changes: { flip: 1 }, seed: 3 });
    expect([...once.data.subarray(0, width)]).toEqual([...image.data.subarray(0, width)].reverse());
    expect(augment(once, { changes: { flip: 1 }, seed: 4 })).toEqual(image);
    expect(augment(image, { changes: { flip: 0 }, seed: 3 })).toEqual(image);
  });

  it('does not change another draw when a setting is switched on', () => {
    const mirrored = (changes: object): boolean =>
      augment(image, { changes: { flip: 0.5, ...changes }, seed: 12 }).data[0] !== image.data[0];
    expect(mirrored({ crop: { minArea: 1 } })).toBe(mirrored({}));
  });

  it('keeps the mean grey of a grey image whose contrast changes', () => {
    const mean = (data: Float32Array): number => data.reduce((sum, value) => sum + value, 0) / data.length;
    const grey = tensor('float32', [1, height, width], image.data.slice(0, height * width));
    const { data } = augment(grey, {
      changes: { colour: { brightness: 0, contrast: 0.9, saturation: 0 } },
      seed: 5,
      pixels,
    });
    expect(mean(data)).toBeCloseTo(mean(grey.data), 3);
    expect(data).not.toEqual(grey.data);
  });

  it('in colour is that of the pixels, whatever scale the model has', () => {
    const colour = tensor(
      'float32',
      [3, 2, 2],
      Float32Array.from({ length: 12 }, (_, i) => i * 20),
    );
    const scaled = tensor(
      'float32',
      [3, 2, 2],
      Float32Array.from(colour.data, (value) => value / 64 - 1),
    );
    const changes = { colour: { brightness: 0.4, contrast: 0.4, saturation: 0.4 } };
    const plain = augment(colour, { changes, seed: 9, pixels });
    const other = augment(scaled, { changes, seed: 9, pixels: { scale: [1 / 64, 1 / 64, 1 / 64], offset: -1 } });
    for (const [i, value] of other.data.entries()) expect((value + 1) * 64).toBeCloseTo(plain.data[i] ?? NaN, 2);
  });

  it('of a row of numbers may have noise, but no crop', () => {
    const row = tensor('float32', [4], new Float32Array(4));
    expect(augment(row, { changes: { noise: 1 }, seed: 1 }).data.some((value) => value !== 0)).toBe(true);
    expect(() => augment(row, { changes: { flip: 1 }, seed: 1 })).toThrow(
      expect.objectContaining({ code: 'DATA_UNSUITABLE', message: expect.stringContaining('[4]') }),
    );
  });

  it('has a seed of its own for each example, variant and site', () => {
    const seeds = [1, 2].flatMap((seed) =>
      ['aa', 'ab'].flatMap((hash) => [0, 1].map((n) => variantSeed(seed, hash, n))),
    );
    expect(new Set(seeds).size).toBe(8);
  });
});

describe('mixup', () => {
  const features = tensor('float32', [4, 2], Float32Array.of(1, 0, 2, 0, 3, 0, 4, 0));
  const labels = Int32Array.of(0, 1, 2, 1);

  it.each([0.1, 1, 4])('blends examples and labels by the same share, alpha %p', (alpha) => {
    const { features: blended, targets } = mixup(features, labels, { alpha, classes: 3, seed: 2 });
    for (let row = 0; row < 4; row++) {
      const shares = targets.data.subarray(row * 3, row * 3 + 3);
      expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 6);
      expect(shares.every((share) => share >= 0)).toBe(true);
    }
    // Partners are a permutation, so that the batch as a whole stays.
    expect(blended.data.reduce((sum, value) => sum + value, 0)).toBeCloseTo(10, 5);
    expect(mixup(features, labels, { alpha, classes: 3, seed: 2 })).toEqual({ features: blended, targets });
  });

  it('draws shares with the variance of Beta(alpha, alpha), 1 / (8 alpha + 4)', () => {
    for (const alpha of [0.5, 1, 3]) {
      const two = tensor('float32', [2, 1], Float32Array.of(0, 1));
      const shares = Array.from({ length: 3000 }, (_, seed) => {
        const { features: mixed } = mixup(two, Int32Array.of(0, 1), { alpha, classes: 2, seed });
        return mixed.data[0] ?? 0;
      }).filter((share) => share !== 0);
      // Half the batches pair each example with itself; those shares are 0 and left out.
      const squares = shares.reduce((sum, share) => sum + (share - 0.5) ** 2, 0) / shares.length;
      expect(Math.abs(squares * (8 * alpha + 4) - 1)).toBeLessThan(0.15);
    }
  });
});

describe('a task', () => {
  it('says on which side of the trunk examples are varied', () => {
    expect(augmentationSchema.safeParse({ flip: 0.5 }).success).toBe(false);
    expect(augmentationSchema.safeParse({ place: 'before-trunk', flip: 0.5, variants: 4 }).success).toBe(true);
    expect(augmentationSchema.safeParse({ place: 'after-trunk', noise: 0.1, mixup: 0.2 }).success).toBe(true);
  });

  it.each([
    { place: 'after-trunk', variants: 2 },
    { place: 'before-trunk', mixup: 1 },
    { place: 'before-trunk', rotation: 90 },
    { place: 'before-trunk', crop: { minArea: 0 } },
  ])('cannot ask for %p', (augmentation) => {
    expect(augmentationSchema.safeParse(augmentation).success).toBe(false);
  });
});
