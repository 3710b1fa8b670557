/**
 * A pipeline is everything that turns an example into class probabilities: preprocessing, an optional frozen trunk,
 * a tail and the labels. It names its graphs and weights by hash, so that it travels as small JSON.
 */
import { z } from 'zod';

import { blobRefSchema, type BlobRef } from './blob-ref.js';
import { preprocessingSchema } from './preprocessing.js';

export { blobRefSchema, type BlobRef };

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

export type Part = z.infer<typeof partSchema>;
export type Pipeline = z.infer<typeof pipelineSchema>;

/** Every blob of pipelines, each once: graphs, weights, and the tokenizer of a text. */
export function blobsOf(...pipelines: readonly (Pipeline | undefined)[]): BlobRef[] {
  const blobs = new Map<string, BlobRef>();
  for (const pipeline of pipelines) {
    if (pipeline === undefined) continue;
    const { preprocessing, trunk, tail } = pipeline;
    const parts = trunk === undefined ? [tail] : [trunk, tail];
    for (const blob of parts.flatMap(({ graph, weights }) => [graph, ...weights])) blobs.set(blob.hash, blob);
    if (preprocessing.kind === 'text') blobs.set(preprocessing.tokenizer.hash, preprocessing.tokenizer);
  }
  return [...blobs.values()];
}
