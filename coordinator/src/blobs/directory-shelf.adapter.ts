/** The shelf of a blob directory: a file's time of change is when its blob was last used. */
import { readdir, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';

import type { BlobStore } from './blob-store.js';
import { noteUseMs, type BlobShelf, type ShelvedBlob } from './shelf.js';
import { blobsIn, type WorkerFiles } from './worker-files.js';

const isGone = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';

export function directoryShelf(directory: string): BlobShelf {
  const find = async (hash: string): Promise<ShelvedBlob | undefined> => {
    try {
      const { size, mtimeMs } = await stat(join(directory, hash.slice(0, 2), hash));
      return { hash, sizeBytes: size, usedAtMs: mtimeMs };
    } catch (error) {
      if (isGone(error)) return undefined;
      throw error;
    }
  };
  return {
    find,
    list: async function* list() {
      for (const folder of await readdir(directory)) {
        if (!/^[0-9a-f]{2}$/u.test(folder)) continue;
        for (const hash of await readdir(join(directory, folder))) {
          const found = await find(hash);
          if (found !== undefined) yield found;
        }
      }
    },
  };
}

/** The same store; whoever asks whether a blob is there, or stores it again, uses it. Nobody deletes it within the grace period then. */
export function notingUse(store: BlobStore, nowMs: () => number): BlobStore {
  const used = async (hash: string): Promise<void> => noteUse(store.path(hash), nowMs());
  return {
    ...store,
    has: async (hash) => {
      const sizeBytes = await store.has(hash);
      if (sizeBytes !== undefined) await used(hash);
      return sizeBytes;
    },
    put: async (bytes) => {
      const ref = await store.put(bytes);
      await used(ref.hash);
      return ref;
    },
    finish: async (hash, sizeBytes) => {
      const ref = await store.finish(hash, sizeBytes);
      await used(hash);
      return ref;
    },
  };
}

/** What workers write into the directory themselves is used too. Throws where it was deleted at this moment: the call is made again. */
export const filesInPlace = (directory: string, nowMs: () => number): WorkerFiles => ({
  directory,
  lend: async (_, call) => {
    const answer = await call();
    for (const hash of blobsIn(answer)) await noteUse(join(directory, hash.slice(0, 2), hash), nowMs());
    return answer;
  },
});

async function noteUse(file: string, atMs: number): Promise<void> {
  const { mtimeMs } = await stat(file);
  if (atMs - mtimeMs > noteUseMs) await utimes(file, atMs / 1_000, atMs / 1_000);
}
