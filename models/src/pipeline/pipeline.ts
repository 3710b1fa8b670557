/**
 * A pipeline is everything that turns an example into class probabilities: preprocessing, an optional frozen trunk,
 * a tail and the labels. It names its graphs and weights by hash, so that it travels as small JSON.
 */
import { z } from 'zod';

import { preprocessingSchema } from './preprocessing.js';

/** The address of a blob: its SHA-256 in hex, and its size. */
export const blobRefSchema = z.object({
  hash: z.string().regex(/^[0-9a-f]{64}$/, 'a SHA-256 in lower-case hex'),
  sizeBytes: z.int().min(0),
});

/**
 * A graph and its weights. Later files override earlier names; float16 tensors are widened to float32 on load
 * where the graph says float32.
 */
export const partSchema = z.object({
  graph: blobRefSchema,
  weights: z.array(blobRefSchema).max(64).readonly(),
});

export const labelsSchema = z.array(z.string().min(1).max(200)).min(2).max(100_000).readonly();

export const pipelineSchema = z.object({
  preprocessing: preprocessingSchema,
  trunk: partSchema.exactOptional(),
  tail: partSchema,
  labels: labelsSchema,
});

export type BlobRef = z.infer<typeof blobRefSchema>;
export type Part = z.infer<typeof partSchema>;
export type Pipeline = z.infer<typeof pipelineSchema>;
