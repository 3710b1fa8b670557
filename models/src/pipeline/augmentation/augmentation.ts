/** What is varied at random in training examples, and on which side of the trunk; written in a task. */
import { z } from 'zod';

const share = z.number().min(0).max(1);

/** Changes of an image [channels, height, width], made in this order by one seed an example. */
const imageChanges = {
  /** A random part of this share of the area at least, of the same proportions, enlarged to the whole. */
  crop: z.strictObject({ minArea: z.number().min(0.01).max(1) }).exactOptional(),
  /** Left and right change places with this probability. */
  flip: share.exactOptional(),
  /** Turned by up to so many degrees either way; what comes in from outside repeats the edge. */
  rotation: z.number().min(0).max(45).exactOptional(),
  /** Each factor is drawn from [1 - x, 1 + x]. */
  colour: z.strictObject({ brightness: share, contrast: share, saturation: share }).exactOptional(),
};

/** Changes of any tensor. */
const tensorChanges = {
  /** Standard deviation of normal noise that is added, in units of the tensor's values. */
  noise: z.number().min(0).max(1000).exactOptional(),
};

/**
 * 'before-trunk': the decoded example is varied, so that the trunk has to see every variant. With `variants` each example has so
 * many, the same in every round, whose features are kept; without it every epoch makes new ones and nothing is kept.
 * 'after-trunk': the features are varied, which costs no run of the trunk. Where there is no trunk both are the decoded example,
 * and after costs no decoding.
 */
export const augmentationSchema = z.discriminatedUnion('place', [
  z.strictObject({
    place: z.literal('before-trunk'),
    variants: z.int().min(1).max(64).exactOptional(),
    ...imageChanges,
    ...tensorChanges,
  }),
  z.strictObject({
    place: z.literal('after-trunk'),
    ...imageChanges,
    ...tensorChanges,
    /** Alpha of mixup's Beta(alpha, alpha): each example is blended with another of its batch. */
    mixup: z.number().positive().max(10).exactOptional(),
  }),
]);

export type Augmentation = z.infer<typeof augmentationSchema>;

/** The changes alone. */
export type Changes = Pick<Augmentation, 'crop' | 'flip' | 'rotation' | 'colour' | 'noise'>;
