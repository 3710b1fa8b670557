/**
 * Copies of blobs in a directory of this machine, bounded: what was not used for longest goes first, what is in use stays.
 * A copy may go at any time after that; the bucket has it.
 */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { GraftError } from '@graft/core/error';

import { openBlobDirectory } from './blob-directory.adapter.js';
import type { BlobStore } from './blob-store.js';

export interface LocalCopies {
  readonly store: BlobStore;
  /** Throws INVALID_REQUEST for what is no sha256. */
  checkHash(hash: string): string;
  added(hash: string, sizeBytes: number): void;
  used(hash: string): void;
  removed(hash: string): void;
  /** Removes copies until this much more fits within the bound, or nothing is left that may go. */
  makeRoom(sizeBytes: number): Promise<void>;
  /** Keeps copies while `work` runs. */
  holding<T>(hashes: readonly string[], work: () => Promise<T>): Promise<T>;
}

export async function localCopies(directory: string, limitBytes: number): Promise<LocalCopies> {
  const store = await openBlobDirectory(directory);
  /** In the order of their last use. */
  const sizes = new Map<string, number>();
  const held = new Map<string, number>();
  let totalBytes = 0;

  const removed = (hash: string): void => {
    totalBytes -= sizes.get(hash) ?? 0;
    sizes.delete(hash);
  };
  const added = (hash: string, sizeBytes: number): void => {
    removed(hash);
    sizes.set(hash, sizeBytes);
    totalBytes += sizeBytes;
  };
  for (const { hash, sizeBytes } of await copiesIn(directory)) added(hash, sizeBytes);

  const hold = (hash: string, by: number): void => {
    const count = (held.get(hash) ?? 0) + by;
    if (count === 0) held.delete(hash);
    else held.set(hash, count);
  };
  return {
    store,
    checkHash: (hash) => {
      if (/^[0-9a-f]{64}$/u.test(hash)) return hash;
      throw new GraftError('INVALID_REQUEST', `'${hash.slice(0, 80)}' is not a sha256 in lower-case hex`);
    },
    added,
    used: (hash) => {
      const sizeBytes = sizes.get(hash);
      if (sizeBytes !== undefined) added(hash, sizeBytes);
    },
    removed,
    makeRoom: async (sizeBytes) => {
      for (const hash of sizes.keys()) {
        if (totalBytes + sizeBytes <= limitBytes) return;
        if (held.has(hash)) continue;
        removed(hash);
        await store.delete(hash);
      }
    },
    holding: async (hashes, work) => {
      for (const hash of hashes) hold(hash, 1);
      try {
        return await work();
      } finally {
        for (const hash of hashes) hold(hash, -1);
      }
    },
  };
}

/** What lies there from before, the one that was used longest ago first. */
async function copiesIn(directory: string): Promise<{ hash: string; sizeBytes: number }[]> {
  const copies: { hash: string; sizeBytes: number; atMs: number }[] = [];
  for (const folder of await readdir(directory)) {
    if (!/^[0-9a-f]{2}$/u.test(folder)) continue;
    for (const hash of await readdir(join(directory, folder))) {
      const { size, mtimeMs } = await stat(join(directory, folder, hash));
      copies.push({ hash, sizeBytes: size, atMs: mtimeMs });
    }
  }
  return copies.sort((a, b) => a.atMs - b.atMs);
}
