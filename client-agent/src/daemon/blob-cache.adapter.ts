/**
 * Downloaded blobs by hash. A blob grows as `HASH.part` in whole chunks, so that a cut connection costs one chunk,
 * and gets its name once its sha256 is right. Nothing is synced: what a power cut loses is downloaded again, and what it
 * damaged is found, since every process hashes a blob before it first trusts it.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat, truncate, utimes } from 'node:fs/promises';
import { join } from 'node:path';

import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';
import type { BlobRef } from '@graft/models/pipeline/pipeline';

import { isMissing } from '../config/files.adapter.js';

export interface BlobCache {
  path(hash: string): string;
  has(blob: BlobRef): Promise<boolean>;
  /**
   * Fetches a blob unless it is there.
   * @param chunksFrom the chunks of the blob from the given one on
   * @throws TRANSFER_CORRUPT where the whole is not what the hash says; the part is removed
   */
  fetch(blob: BlobRef, chunksFrom: (firstChunk: number) => AsyncIterable<Uint8Array>): Promise<number>;
  /** Deletes blobs that were unused longest until at most `maxBytes` remain; those in `keep` stay. */
  prune(keep: ReadonlySet<string>, maxBytes: number): Promise<void>;
}

export function openBlobCache(directory: string): BlobCache {
  const path = (hash: string): string => join(directory, hash);
  /** Hashed by this process. */
  const trusted = new Set<string>();
  const has = async (blob: BlobRef): Promise<boolean> => {
    if ((await sizeOf(path(blob.hash))) !== blob.sizeBytes) return false;
    if (!trusted.has(blob.hash)) {
      if ((await hashOf(path(blob.hash))) !== blob.hash) return false;
      trusted.add(blob.hash);
    }
    const now = new Date();
    await utimes(path(blob.hash), now, now);
    return true;
  };
  return {
    path,
    has,
    fetch: async (blob, chunksFrom) => {
      await mkdir(directory, { recursive: true });
      if (await has(blob)) return 0;
      const part = `${path(blob.hash)}.part`;
      const received = await complete(part, blob, chunksFrom);
      await rename(part, path(blob.hash));
      trusted.add(blob.hash);
      return received;
    },
    prune: (keep, maxBytes) => prune(directory, keep, maxBytes),
  };
}

/** Bytes received. */
async function complete(
  part: string,
  blob: BlobRef,
  chunksFrom: (firstChunk: number) => AsyncIterable<Uint8Array>,
): Promise<number> {
  const firstChunk = Math.floor(Math.min((await sizeOf(part)) ?? 0, blob.sizeBytes) / limits.chunkBytes);
  const start = firstChunk * limits.chunkBytes;
  const hash = createHash('sha256');
  if (start > 0) {
    await truncate(part, start);
    for await (const piece of createReadStream(part)) hash.update(piece as Uint8Array);
  }
  let size = start;
  const file = await open(part, start > 0 ? 'r+' : 'w', 0o640);
  try {
    if (size < blob.sizeBytes) {
      for await (const chunk of chunksFrom(firstChunk)) {
        if (size + chunk.length > blob.sizeBytes) break;
        await file.write(chunk, 0, chunk.length, size);
        hash.update(chunk);
        size += chunk.length;
      }
    }
  } finally {
    await file.close();
  }
  const digest = hash.digest('hex');
  if (size !== blob.sizeBytes || digest !== blob.hash) {
    await rm(part, { force: true });
    throw new GraftError(
      'TRANSFER_CORRUPT',
      `blob ${blob.hash} of ${blob.sizeBytes} bytes came as ${size} bytes with sha256 ${digest}`,
    );
  }
  return size - start;
}

async function prune(directory: string, keep: ReadonlySet<string>, maxBytes: number): Promise<void> {
  const files: { path: string; size: number; usedMs: number; kept: boolean }[] = [];
  for (const name of await readdir(directory).catch((error: unknown) =>
    isMissing(error) ? [] : Promise.reject(error),
  )) {
    const found = await stat(join(directory, name)).catch((error: unknown) =>
      isMissing(error) ? undefined : Promise.reject(error),
    );
    if (found === undefined) continue;
    const kept = keep.has(name.replace(/\.part$/, ''));
    files.push({ path: join(directory, name), size: found.size, usedMs: found.mtimeMs, kept });
  }
  let total = files.reduce((sum, { size }) => sum + size, 0);
  for (const file of files.filter(({ kept }) => !kept).sort((a, b) => a.usedMs - b.usedMs)) {
    if (total <= maxBytes) return;
    await rm(file.path, { force: true });
    total -= file.size;
  }
}

async function hashOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(file)) hash.update(piece as Uint8Array);
  return hash.digest('hex');
}

async function sizeOf(file: string): Promise<number | undefined> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
