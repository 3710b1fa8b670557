/** The shelf of a bucket: a blob was last used when its object or its mark below `used/` was written. */
import { blobKey, usedKey } from './s3-blobs.adapter.js';
import type { S3Objects } from './s3-objects.adapter.js';
import type { BlobShelf } from './shelf.js';

export function s3Shelf(objects: S3Objects): BlobShelf {
  return {
    find: async (hash) => {
      const [blob, used] = await Promise.all([objects.head(blobKey(hash)), objects.head(usedKey(hash))]);
      if (blob === undefined) return undefined;
      return { hash, sizeBytes: blob.sizeBytes, usedAtMs: Math.max(blob.changedAtMs, used?.changedAtMs ?? 0) };
    },
    list: async function* list() {
      const marks = new Map<string, number>();
      for await (const { key, changedAtMs } of objects.list('used/')) marks.set(key.slice('used/'.length), changedAtMs);
      for await (const { key, sizeBytes, changedAtMs } of objects.list('blobs/')) {
        const hash = key.split('/').at(-1) ?? '';
        if (key === blobKey(hash)) yield { hash, sizeBytes, usedAtMs: Math.max(changedAtMs, marks.get(hash) ?? 0) };
      }
    },
  };
}
