/** The address of a blob. */
import { z } from 'zod';

/** Its SHA-256 in hex, and its size. */
export const blobRefSchema = z.object({
  hash: z.string().regex(/^[0-9a-f]{64}$/, 'a SHA-256 in lower-case hex'),
  sizeBytes: z.int().min(0),
});

export type BlobRef = z.infer<typeof blobRefSchema>;
