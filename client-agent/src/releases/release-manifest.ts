/** What a release is, as the coordinator signs it: which model for which task, and what was measured of it. */
import { GraftError } from '@graft/core/error';
import { pipelineSchema } from '@graft/models/pipeline/pipeline';
import { z } from 'zod';

/** Fields that this version does not know are kept: they are signed too. */
export const releaseManifestSchema = z.looseObject({
  /** Also the name of a folder. */
  id: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/, 'letters, digits, dash and underscore'),
  taskId: z.string().min(1),
  runId: z.string().min(1),
  round: z.int().min(0),
  precision: z.enum(['fp32', 'int8']),
  pipeline: pipelineSchema,
});

export type ReleaseManifest = z.infer<typeof releaseManifestSchema>;

/** Throws RELEASE_INVALID where the bytes are no manifest. */
export function parseReleaseManifest(bytes: Uint8Array): ReleaseManifest {
  let source: unknown;
  try {
    source = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new GraftError('RELEASE_INVALID', 'the manifest of the release is not JSON', { cause });
  }
  const parsed = releaseManifestSchema.safeParse(source);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new GraftError(
    'RELEASE_INVALID',
    `the manifest of the release: ${issue?.path.join('.') ?? ''} ${issue?.message ?? 'does not match its schema'}`,
    { cause: parsed.error },
  );
}
