/** What a backup says of itself, in `backup.json`. */
import { z } from 'zod';

import { blobRefSchema } from '@graft/models/pipeline/pipeline';

export const backupFiles = {
  manifest: 'backup.json',
  /** One line of JSON a row, gzip. */
  rows: 'rows.jsonl.gz',
  blobs: 'blobs',
  keys: 'keys.json',
} as const;

export const backupManifestSchema = z.object({
  format: z.literal(1),
  /** Of the program that wrote it. */
  version: z.string(),
  createdAtMs: z.number(),
  rows: z.object({ lines: z.int().min(1), sha256: blobRefSchema.shape.hash }),
  blobs: z.array(blobRefSchema),
  /** 'plain': whoever reads the backup can be this coordinator. */
  keys: z.enum(['plain', 'passphrase']),
});

export type BackupManifest = z.infer<typeof backupManifestSchema>;
