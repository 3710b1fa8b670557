/** Has every blob of a plan in the cache, each verified by its hash. */
import { GraftError } from '@graft/core/error';
import type { BlobRef } from '@graft/models/pipeline/pipeline';

import { download } from '../daemon/transfers.adapter.js';
import type { AgentContext, JobControl } from './agent-context.js';

/** How often a blob is fetched anew after it came with a wrong hash. */
const corruptAttempts = 2;

/** Over as many connections as it takes. Throws NOT_FOUND, TRANSFER_CORRUPT, CANCELLED. */
export async function fetchBlobs(context: AgentContext, blobs: readonly BlobRef[], control: JobControl): Promise<void> {
  const total = blobs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  let done = 0;
  for (const blob of blobs) {
    await fetchOne(context, blob, control);
    done += blob.sizeBytes;
    control.onProgress({ activity: 'fetching', progress: total === 0 ? 1 : done / total });
  }
  await context.cache.prune(new Set(blobs.map(({ hash }) => hash)), context.config.cacheBytes);
}

async function fetchOne({ cache, connection }: AgentContext, blob: BlobRef, { signal }: JobControl): Promise<void> {
  if (await cache.has(blob)) return;
  for (let attempt = 1; ; attempt++) {
    try {
      await connection.retry(signal, (client) => download(client, cache, blob, signal));
      return;
    } catch (error) {
      if (!(error instanceof GraftError && error.code === 'TRANSFER_CORRUPT') || attempt === corruptAttempts)
        throw error;
    }
  }
}
