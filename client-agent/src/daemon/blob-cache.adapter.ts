/**
 * Downloaded blobs by hash. A blob grows as `HASH.part` in whole chunks, so that a cut connection or the end of this process
 * costs one chunk, and gets its name once its sha256 is right; the delta to a blob grows beside it as `HASH.DELTA.delta`.
 * Nothing is synced: what a power cut loses is downloaded again, and what it damaged is found, since every process hashes a
 * blob before it first trusts it.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat, truncate, utimes } from 'node:fs/promises';
import { join } from 'node:path';

import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';
import type { BlobRef } from '@graft/models/pipeline/pipeline';
import { applyDelta } from '@graft/protos/delta/apply.adapter';
import { partialsToSweep } from '@graft/protos/transfer/partials';

import { isMissing } from '../config/files.adapter.js';

/** What there is of a blob that is not whole: its leading chunks, or those of a delta to it. */
export interface Kept {
  readonly chunks: number;
  /** sha256 of the delta whose chunks they are. */
  readonly delta?: string;
}

/** Chunks as they come, and the place of the first of them. */
export interface Arriving {
  readonly firstChunk: number;
  readonly chunks: AsyncIterable<Uint8Array>;
}

export interface BlobCache {
  path(hash: string): string;
  has(blob: BlobRef): Promise<boolean>;
  /** What a former attempt left. */
  kept(hash: string): Promise<Kept>;
  /** Verified blobs of this size, used last first: what a delta may start from. */
  ofSize(sizeBytes: number, atMost: number): Promise<string[]>;
  /**
   * Stores what comes, and the whole once it is there. Answers bytes received.
   * @throws TRANSFER_CORRUPT where the whole is not what the hash says; the part is removed. DISK_FULL; the part stays
   */
  receive(blob: BlobRef, arriving: Arriving): Promise<number>;
  /**
   * Stores a delta to `blob`, and makes the blob of it and its base. Answers bytes received.
   * @throws TRANSFER_CORRUPT, DELTA_INVALID; the delta is removed. DISK_FULL; the delta stays
   */
  receiveDelta(
    blob: BlobRef,
    delta: { readonly from: string; readonly blob: BlobRef },
    arriving: Arriving,
  ): Promise<number>;
  /** Forgets what there is of a blob that is not whole. */
  drop(hash: string): Promise<void>;
  /** Deletes what was unused longest until at most `maxBytes` remain, and parts that nobody came back for; what is in `keep` stays. */
  prune(keep: ReadonlySet<string>, maxBytes: number, atMs: number): Promise<void>;
}

/** A part that got no chunk for so long is deleted whatever the room. */
const partLimits = { maxAgeMs: 7 * 24 * 3_600_000, maxBytes: Infinity, graceMs: 600_000 };

export function openBlobCache(directory: string): BlobCache {
  const path = (hash: string): string => join(directory, hash);
  const partOf = (hash: string): string => `${path(hash)}.part`;
  const deltaOf = (hash: string, delta: string): string => `${path(hash)}.${delta}.delta`;
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
  const deltasTo = async (hash: string): Promise<string[]> =>
    (await namesIn(directory)).flatMap((name) => {
      const [, to, delta] = /^([0-9a-f]{64})\.([0-9a-f]{64})\.delta$/u.exec(name) ?? [];
      return to === hash && delta !== undefined ? [delta] : [];
    });
  const drop = async (hash: string): Promise<void> => {
    await rm(partOf(hash), { force: true });
    for (const delta of await deltasTo(hash)) await rm(deltaOf(hash, delta), { force: true });
  };
  const publish = async (from: string, hash: string): Promise<void> => {
    await rename(from, path(hash));
    trusted.add(hash);
    await drop(hash);
  };
  return {
    path,
    has,
    kept: async (hash) => {
      const chunks = wholeChunks(await sizeOf(partOf(hash)));
      const [delta] = await deltasTo(hash);
      if (chunks > 0 || delta === undefined) return { chunks };
      const size = await sizeOf(deltaOf(hash, delta));
      return { chunks: wholeChunks(size), delta };
    },
    ofSize: (sizeBytes, atMost) => verifiedOfSize(directory, { sizeBytes, atMost }, has),
    receive: async (blob, arriving) => {
      await mkdir(directory, { recursive: true });
      const received = await complete(partOf(blob.hash), blob, arriving);
      await publish(partOf(blob.hash), blob.hash);
      return received;
    },
    receiveDelta: async (blob, { from, blob: delta }, arriving) => {
      await mkdir(directory, { recursive: true });
      const file = deltaOf(blob.hash, delta.hash);
      for (const other of await deltasTo(blob.hash)) {
        if (other !== delta.hash) await rm(deltaOf(blob.hash, other), { force: true });
      }
      const received = await complete(file, delta, arriving);
      const made = `${path(blob.hash)}.made`;
      try {
        await applyDelta(
          { base: path(from), delta: file, target: made },
          { sizeBytes: blob.sizeBytes, from, to: blob.hash },
        );
      } catch (error) {
        await rm(made, { force: true });
        if (!isFull(error)) await rm(file, { force: true });
        // The base may have been deleted to make room meanwhile.
        throw isMissing(error)
          ? new GraftError('DELTA_INVALID', `the base ${from} is gone`, { cause: error })
          : stored(error, directory);
      }
      await publish(made, blob.hash);
      return received;
    },
    drop,
    prune: (keep, maxBytes, atMs) => prune(directory, { keep, maxBytes, atMs }),
  };
}

/** Leading whole chunks of a file; none where there is no file. */
function wholeChunks(sizeBytes: number | undefined): number {
  return Math.floor((sizeBytes ?? 0) / limits.chunkBytes);
}

/** Bytes received. */
async function complete(part: string, blob: BlobRef, { firstChunk, chunks }: Arriving): Promise<number> {
  const start = Math.min(firstChunk, wholeChunks(await sizeOf(part))) * limits.chunkBytes;
  const hash = createHash('sha256');
  if (start > 0) {
    await truncate(part, start);
    for await (const piece of createReadStream(part)) hash.update(piece as Uint8Array);
  }
  let size = start;
  const file = await open(part, start > 0 ? 'r+' : 'w', 0o640);
  try {
    for await (const chunk of chunks) {
      if (size + chunk.length > blob.sizeBytes) break;
      await file.write(chunk, 0, chunk.length, size);
      hash.update(chunk);
      size += chunk.length;
    }
  } catch (error) {
    throw stored(error, part);
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

function isFull(error: unknown): boolean {
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
  return ['ENOSPC', 'EDQUOT', 'EFBIG'].includes(code);
}

/** A full disk becomes DISK_FULL; other errors pass as they are. */
function stored(error: unknown, place: string): unknown {
  if (!isFull(error)) return error;
  return new GraftError('DISK_FULL', `no space is left for ${place}; what came is kept`, { cause: error });
}

async function verifiedOfSize(
  directory: string,
  { sizeBytes, atMost }: { readonly sizeBytes: number; readonly atMost: number },
  has: (blob: BlobRef) => Promise<boolean>,
): Promise<string[]> {
  const found = (await filesIn(directory)).filter(
    ({ name, size }) => size === sizeBytes && /^[0-9a-f]{64}$/u.test(name),
  );
  const bases: string[] = [];
  for (const { name: hash, usedMs } of found.sort((a, b) => b.usedMs - a.usedMs).slice(0, atMost)) {
    if (!(await has({ hash, sizeBytes }))) continue;
    // Looked at is not used.
    await utimes(join(directory, hash), usedMs / 1000, usedMs / 1000);
    bases.push(hash);
  }
  return bases;
}

async function prune(
  directory: string,
  { keep, maxBytes, atMs }: { readonly keep: ReadonlySet<string>; readonly maxBytes: number; readonly atMs: number },
): Promise<void> {
  const files = (await filesIn(directory)).filter(({ name }) => !keep.has(name.slice(0, 64)));
  const parts = files.filter(({ name }) => name.includes('.'));
  const forgotten = new Set(
    partialsToSweep(
      parts.map(({ name, size, usedMs }) => ({ name, sizeBytes: size, writtenAtMs: usedMs })),
      { ...partLimits, atMs },
    ).map(({ name }) => name),
  );
  for (const name of forgotten) await rm(join(directory, name), { force: true });
  const rest = files.filter(({ name }) => !forgotten.has(name));
  const kept = (await filesIn(directory)).filter(({ name }) => keep.has(name.slice(0, 64)));
  let total = [...rest, ...kept].reduce((sum, { size }) => sum + size, 0);
  for (const { name, size } of rest.sort((a, b) => a.usedMs - b.usedMs)) {
    if (total <= maxBytes) return;
    await rm(join(directory, name), { force: true });
    total -= size;
  }
}

async function filesIn(directory: string): Promise<{ name: string; size: number; usedMs: number }[]> {
  const files: { name: string; size: number; usedMs: number }[] = [];
  for (const name of await namesIn(directory)) {
    const found = await stat(join(directory, name)).catch(absent);
    if (found !== undefined) files.push({ name, size: found.size, usedMs: found.mtimeMs });
  }
  return files;
}

async function namesIn(directory: string): Promise<string[]> {
  return (await readdir(directory).catch(absent)) ?? [];
}

async function hashOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(file)) hash.update(piece as Uint8Array);
  return hash.digest('hex');
}

async function sizeOf(file: string): Promise<number | undefined> {
  return (await stat(file).catch(absent))?.size;
}

function absent(error: unknown): undefined {
  if (!isMissing(error)) throw error;
}
