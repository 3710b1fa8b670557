/** What an Install instruction asks: verify the release's signature, fetch its blobs, install it, tell. */
import { GraftError } from '@graft/core/error';
import { blobsOf } from '@graft/models/pipeline/pipeline';
import { verifyRelease } from '@graft/protos/identity/signatures.adapter';
import type * as wire from '@graft/protos/messages';

import type { OutboxRecord } from '../daemon/outbox.adapter.js';
import { parseReleaseManifest } from '../releases/release-manifest.js';
import { currentRelease, installRelease, pruneReleases } from '../releases/release-store.adapter.js';
import type { AgentContext, JobControl } from './agent-context.js';
import { fetchBlobs } from './fetch-blobs.driver.js';

/** Throws RELEASE_INVALID before a byte of the release is used where the coordinator's key did not sign it. */
export async function install(
  context: AgentContext,
  { id, release }: { readonly id: string; readonly release: wire.Release },
  control: JobControl,
): Promise<OutboxRecord> {
  const { config, paths, cache, nowMs, emit } = context;
  if (!verifyRelease(context.identityKey, release.manifest, release.signature)) {
    throw new GraftError('RELEASE_INVALID', 'the release is not signed by the coordinator of this site');
  }
  const manifest = parseReleaseManifest(release.manifest);
  if ((await currentRelease(paths.releases))?.manifest.id !== manifest.id) {
    await fetchBlobs(context, blobsOf(manifest.pipeline), control);
    control.onProgress({ activity: 'installing', progress: 0 });
    await installRelease(paths.releases, { ...release, blobPath: (hash) => cache.path(hash) });
    await pruneReleases(paths.releases, config.keepReleases);
    const { runId: run, round, precision } = manifest;
    emit({ event: 'installed', release: manifest.id, run, round, precision });
  }
  return {
    kind: 'installed',
    instructionId: id,
    runId: manifest.runId,
    round: manifest.round,
    atMs: nowMs(),
    releaseId: manifest.id,
  };
}
