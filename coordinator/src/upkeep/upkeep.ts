/** Backups and sweeps through the admin API, for the coordinator that runs. */
import { z } from 'zod';

export const backupBodySchema = z.strictObject({
  /** Names the folder below `backups` of the coordinator's directory. */
  name: z.string().regex(/^[\w-]{1,80}$/u, 'must be 1 to 80 letters, digits, _ or -'),
  /** Encrypts the keys. */
  passphrase: z.string().min(8).max(1_000).optional(),
});
export type BackupBody = z.infer<typeof backupBodySchema>;

export const backupViewSchema = z.object({
  /** On the coordinator's machine. */
  folder: z.string(),
  blobs: z.number(),
  sizeBytes: z.number(),
  keys: z.enum(['plain', 'passphrase']),
});
export type BackupView = z.infer<typeof backupViewSchema>;

export const sweepBodySchema = z.strictObject({ dryRun: z.boolean().default(false) });
export type SweepBody = z.infer<typeof sweepBodySchema>;

export const sweepViewSchema = z.object({
  rows: z.record(z.string(), z.number()).optional(),
  blobs: z.number(),
  sizeBytes: z.number(),
  keptBlobs: z.number(),
  keptBytes: z.number(),
});
export type SweepView = z.infer<typeof sweepViewSchema>;

export interface Upkeep {
  backup(body: BackupBody): Promise<BackupView>;
  /** Throws ALREADY_EXISTS where another sweep runs. */
  sweep(body: SweepBody): Promise<SweepView>;
}
