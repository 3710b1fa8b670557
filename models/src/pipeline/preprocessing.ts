/** What is done to an example before the first tensor of a model sees it. */
import { z } from 'zod';

const sidePixels = z.int().min(1).max(8192);

/**
 * An image: decoded, made grey or RGB, inverted (255 - x) where asked, resized bilinearly, grey repeated to three channels
 * where the model wants three and the source is grey, then x * scale + offset per value, as float32 [channels, height, width].
 */
export const imagePreprocessingSchema = z.strictObject({
  kind: z.literal('image'),
  channels: z.union([z.literal(1), z.literal(3)]),
  height: sidePixels,
  width: sidePixels,
  invert: z.boolean(),
  scale: z.number(),
  offset: z.number(),
});

/** A row of numbers, as float32 [length]. */
export const featuresPreprocessingSchema = z.strictObject({
  kind: z.literal('features'),
  length: z.int().min(1).max(1_000_000),
});

export const preprocessingSchema = z.discriminatedUnion('kind', [
  imagePreprocessingSchema,
  featuresPreprocessingSchema,
]);

export type ImagePreprocessing = z.infer<typeof imagePreprocessingSchema>;
export type Preprocessing = z.infer<typeof preprocessingSchema>;

/** Shape of one example after preprocessing, without the batch dimension. */
export function exampleShape(preprocessing: Preprocessing): readonly number[] {
  return preprocessing.kind === 'image'
    ? [preprocessing.channels, preprocessing.height, preprocessing.width]
    : [preprocessing.length];
}
