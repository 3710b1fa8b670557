/** Has every blob of a plan in the cache, each verified by its hash. */
import { GraftError } from '@graft/core/error';
import type { BlobRef } from '@graft/models/pipeline/pipeline';

import type { AgentContext, JobControl } from './agent-context.js';

/** How often a blob is fetched anew after it came with a wrong hash. */
const corruptAttempts = 2;

/** How often room is waited for on a full disk before the job is given up: some ten seconds with the usual back-off. */
const fullAttempts = 5;

/** Over as many connections as it takes. Throws NOT_FOUND, TRANSFER_CORRUPT, DISK_FULL, CANCELLED. */
export async function fetchBlobs(context: AgentContext, blobs: readonly BlobRef[], control: JobControl): Promise<void> {
  const { config, transfers } = context;
  const total = blobs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  let done = 0;
  const onProgress = (bytes: number): void =>
    control.onProgress({ activity: 'fetching', progress: total === 0 ? 1 : Math.min(1, bytes / total) });
  for (const blob of blobs) {
    await fetchOne(context, blob, {
      blobs,
      signal: control.signal,
      onProgress: (share) => onProgress(done + share * blob.sizeBytes),
    });
    done += blob.sizeBytes;
    onProgress(done);
  }
  await transfers.prune(blobs, config.cacheBytes);
}

interface Fetching {
  /** All blobs of the plan. */
  readonly blobs: readonly BlobRef[];
  readonly signal: AbortSignal;
  readonly onProgress: (share: number) => void;
}

async function fetchOne(context: AgentContext, blob: BlobRef, { blobs, signal, onProgress }: Fetching): Promise<void> {
  const { cache, transfers, connection } = context;
  if (await cache.has(blob)) return;
  const options = { signal, onProgress: (bytes: number, of: number) => onProgress(of === 0 ? 1 : bytes / of) };
  for (let corrupt = 1, full = 1; ;) {
    try {
      await connection.retry(signal, (client) => transfers.fetch(client, blob, options));
      return;
    } catch (error) {
      const code = error instanceof GraftError ? error.code : '';
      if (code === 'TRANSFER_CORRUPT' && corrupt < corruptAttempts) corrupt += 1;
      else if (code === 'DISK_FULL' && full < fullAttempts) {
        // Models of earlier plans are what can go.
        await transfers.prune(blobs, 0);
        await connection.backOff(full, signal);
        full += 1;
      } else throw error;
    }
  }
}
