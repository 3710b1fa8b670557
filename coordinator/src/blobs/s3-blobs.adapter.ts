/**
 * Blobs in an S3 bucket, with copies in a directory of this machine for the workers that read files.
 *
 * `blobs/<2 hex>/<hash>` is a whole, verified blob. `partial/<hash>/<index>` is one received chunk of 1 MiB: an object of its own,
 * because S3's multipart parts start at 5 MiB and cannot be read back before the whole is complete. So any replica sees how far an
 * upload has come by listing, and goes on with it; two that write the same chunk are kept apart by If-None-Match. A last, shorter chunk
 * is not staged, as it is never counted. Who finishes has the chunks in its directory or fetches them, verifies the sha256 there,
 * uploads the file (in parts where it is large), and removes the staged chunks.
 */
import { createHash } from 'node:crypto';

import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';
import type { BlobRef } from '@graft/models/pipeline/pipeline';
import { partialsToSweep, type Partial, type SweepLimits } from '@graft/protos/transfer/partials';

import { pauseBefore } from '../store/pause.adapter.js';
import type { BlobStore, Swept } from './blob-store.js';
import type { LocalCopies } from './local-copies.adapter.js';
import type { S3Objects, StoredObject } from './s3-objects.adapter.js';
import { noteUseMs } from './shelf.js';

const { chunkBytes } = limits;
/** What one request brings. */
const rangeChunks = 8;
/** Uploads whose progress is remembered; others are listed again. */
const rememberedUploads = 1_000;
const attempts = 5;
const backoff = { firstMs: 100, longestMs: 2_000 };

export const blobKey = (hash: string): string => `blobs/${hash.slice(0, 2)}/${hash}`;
export const usedKey = (hash: string): string => `used/${hash}`;
const partialPrefix = (hash: string): string => `partial/${hash}/`;
const chunkKey = (hash: string, index: number): string => `${partialPrefix(hash)}${String(index).padStart(8, '0')}`;

export interface S3Blobs extends BlobStore {
  /** Makes the file of a blob lie at `path`. Throws NOT_FOUND. */
  fetch(hash: string): Promise<void>;
  /** Stores a blob that a worker of this machine wrote into the directory. Throws NOT_FOUND. */
  publish(hash: string): Promise<void>;
}

export interface S3BlobsOptions {
  readonly objects: S3Objects;
  readonly local: LocalCopies;
  readonly nowMs: () => number;
}

export function s3Blobs({ objects, local, nowMs }: S3BlobsOptions): S3Blobs {
  /** Chunks that are staged, as far as this replica knows. */
  const staged = new Map<string, number>();
  const turns = new Map<string, Promise<unknown>>();
  async function inTurn<T>(hash: string, work: () => Promise<T>): Promise<T> {
    const mine = (turns.get(hash) ?? Promise.resolve()).then(work, work);
    turns.set(hash, mine);
    try {
      return await mine;
    } finally {
      if (turns.get(hash) === mine) turns.delete(hash);
    }
  }

  function remember(hash: string, count: number): void {
    staged.delete(hash);
    staged.set(hash, count);
    const [oldest] = staged.keys();
    if (staged.size > rememberedUploads && oldest !== undefined) staged.delete(oldest);
  }

  async function stagedChunks(hash: string): Promise<number> {
    let count = 0;
    for await (const { key, sizeBytes } of objects.list(partialPrefix(hash))) {
      if (key !== chunkKey(hash, count) || sizeBytes !== chunkBytes) break;
      count++;
    }
    remember(hash, count);
    return count;
  }

  /** The whole blob in the bucket, noted as used. */
  async function found(hash: string): Promise<StoredObject | undefined> {
    const object = await objects.head(blobKey(local.checkHash(hash)));
    if (object !== undefined && nowMs() - object.changedAtMs > noteUseMs) {
      const used = await objects.head(usedKey(hash));
      if (used === undefined || nowMs() - used.changedAtMs > noteUseMs)
        await objects.put(usedKey(hash), new Uint8Array(), { replace: true });
    }
    return object;
  }

  /** A range, asked for again where the connection broke within it. */
  async function range(key: string, start: number, end: number): Promise<Uint8Array | undefined> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await objects.range(key, start, end);
      } catch (error) {
        if (error instanceof GraftError && !error.row.retryable) throw error;
        if (attempt >= attempts) throw error;
        await pauseBefore(backoff, attempt);
      }
    }
  }

  /** Copies a blob of the bucket into the directory, verified. */
  async function copy(hash: string): Promise<void> {
    if ((await local.store.has(hash)) !== undefined) return local.used(hash);
    const object = await found(hash);
    if (object === undefined) throw notFound(hash);
    await local.makeRoom(object.sizeBytes);
    await local.store.delete(hash);
    if (object.sizeBytes === 0) await local.store.put(new Uint8Array());
    for (let from = 0; from < object.sizeBytes; from += rangeChunks * chunkBytes) {
      const end = Math.min(object.sizeBytes, from + rangeChunks * chunkBytes) - 1;
      const bytes = await range(blobKey(hash), from, end);
      if (bytes === undefined) throw notFound(hash);
      for (let at = 0; at < bytes.byteLength; at += chunkBytes)
        await local.store.appendChunk(hash, (from + at) / chunkBytes, bytes.subarray(at, at + chunkBytes));
    }
    await local.store.finish(hash, object.sizeBytes);
    local.added(hash, object.sizeBytes);
  }
  const fetch = (hash: string): Promise<void> => inTurn(hash, async () => copy(hash));

  /** Uploads the file of the directory, unless the bucket has it. */
  async function upload({ hash, sizeBytes }: BlobRef): Promise<void> {
    local.added(hash, sizeBytes);
    for (let attempt = 1; (await found(hash))?.sizeBytes !== sizeBytes; attempt++) {
      if (await objects.putFile(blobKey(hash), local.store.path(hash), { sizeBytes, sha256: hash })) return;
      // Another replica writes it at this moment, and may yet fail.
      if (attempt >= attempts)
        throw new GraftError('BLOB_STORE_UNAVAILABLE', `blob ${hash} is still being written by another`);
      await pauseBefore(backoff, attempt);
    }
  }

  async function dropStaged(hash: string): Promise<void> {
    staged.delete(hash);
    const keys: string[] = [];
    for await (const { key } of objects.list(partialPrefix(hash))) keys.push(key);
    await objects.delete(keys);
  }

  /** Brings the directory as far as the staged chunks have come. */
  async function catchUp(hash: string, count: number): Promise<void> {
    // More than is staged: chunks of an upload that was dropped elsewhere.
    if ((await local.store.partial(hash)) > count) await local.store.delete(hash);
    for (let index = await local.store.partial(hash); index < count; index++) {
      const bytes = await range(chunkKey(hash, index), 0, chunkBytes - 1);
      if (bytes === undefined) throw outOfOrder(hash, count, index);
      await local.store.appendChunk(hash, index, bytes);
    }
  }

  async function appendChunk(hash: string, index: number, bytes: Uint8Array): Promise<void> {
    local.checkHash(hash);
    if (bytes.byteLength > chunkBytes)
      throw new GraftError('TOO_LARGE', `a chunk of ${bytes.byteLength} bytes, the limit is ${chunkBytes}`);
    const next = staged.get(hash) ?? (await stagedChunks(hash));
    if (index !== next) throw outOfOrder(hash, index, next);
    // A late chunk of a blob that is whole changes nothing.
    if ((await local.store.has(hash)) !== undefined && (await objects.head(blobKey(hash))) !== undefined) return;
    if (index === 0) await local.makeRoom(bytes.byteLength);
    if (bytes.byteLength === chunkBytes && !(await objects.put(chunkKey(hash, index), bytes))) {
      throw outOfOrder(hash, index, await stagedChunks(hash));
    }
    await catchUp(hash, index);
    await local.store.appendChunk(hash, index, bytes);
    if (bytes.byteLength === chunkBytes) remember(hash, index + 1);
  }

  async function finish(hash: string, sizeBytes: number): Promise<BlobRef> {
    const known = await found(hash);
    if (known?.sizeBytes !== sizeBytes) {
      if ((await local.store.has(hash)) === undefined) await catchUp(hash, await stagedChunks(hash));
      try {
        await local.store.finish(hash, sizeBytes);
      } catch (error) {
        if (error instanceof GraftError && error.code === 'BLOB_CORRUPT') await dropStaged(hash);
        throw error;
      }
      await upload({ hash, sizeBytes });
    }
    await dropStaged(hash);
    return { hash, sizeBytes };
  }

  /** What was received in the bucket, by any replica, and in the directory. */
  async function sweepPartials(sweep: SweepLimits): Promise<Swept> {
    const found = new Map<string, Partial & { readonly keys: string[] }>();
    for await (const { key, sizeBytes, changedAtMs } of objects.list('partial/')) {
      const name = key.split('/')[1] ?? '';
      const known = found.get(name);
      const writtenAtMs = Math.max(known?.writtenAtMs ?? 0, changedAtMs);
      const keys = [...(known?.keys ?? []), key];
      found.set(name, { name, sizeBytes: (known?.sizeBytes ?? 0) + sizeBytes, writtenAtMs, keys });
    }
    const swept = partialsToSweep([...found.values()], sweep);
    for (const { name } of swept) {
      staged.delete(name);
      await objects.delete(found.get(name)?.keys ?? []);
    }
    await local.store.sweepPartials(sweep);
    return { count: swept.length, sizeBytes: swept.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) };
  }

  async function readChunk(hash: string, index: number, into?: Uint8Array): Promise<Uint8Array> {
    if ((await local.store.has(hash)) !== undefined) {
      local.used(hash);
      return local.store.readChunk(hash, index, into);
    }
    const size = (await objects.head(blobKey(local.checkHash(hash))))?.sizeBytes;
    if (size === undefined) throw notFound(hash);
    const offset = index * chunkBytes;
    if (!Number.isInteger(index) || index < 0 || offset >= size)
      throw new GraftError('CHUNK_OUT_OF_RANGE', `chunk ${index} of a blob of ${size} bytes`);
    const bytes = await range(blobKey(hash), offset, Math.min(size, offset + chunkBytes) - 1);
    if (bytes === undefined) throw notFound(hash);
    return bytes;
  }

  return {
    has: async (hash) => (await found(hash))?.sizeBytes,
    put: async (bytes) => {
      await local.makeRoom(bytes.byteLength);
      const hash = createHash('sha256').update(bytes).digest('hex');
      return inTurn(hash, async () => {
        const ref = await local.store.put(bytes);
        await upload(ref);
        return ref;
      });
    },
    read: async (hash) => {
      await fetch(local.checkHash(hash));
      return local.store.read(hash);
    },
    readChunk,
    partial: async (hash) => stagedChunks(local.checkHash(hash)),
    appendChunk: (hash, index, bytes) => inTurn(hash, () => appendChunk(hash, index, bytes)),
    finish: (hash, sizeBytes) => inTurn(hash, () => finish(local.checkHash(hash), sizeBytes)),
    delete: (hash) =>
      inTurn(hash, async () => {
        await objects.delete([blobKey(local.checkHash(hash)), usedKey(hash)]);
        await dropStaged(hash);
        await local.store.delete(hash);
        local.removed(hash);
      }),
    sweepPartials,
    path: (hash) => local.store.path(hash),
    fetch,
    publish: (hash) =>
      inTurn(hash, async () => {
        const sizeBytes = await local.store.has(hash);
        // A copy that went meanwhile was in the bucket.
        if (sizeBytes === undefined && (await found(hash)) !== undefined) return;
        if (sizeBytes === undefined) throw notFound(hash);
        await upload({ hash, sizeBytes });
      }),
  };
}

const notFound = (hash: string): GraftError => new GraftError('NOT_FOUND', `no blob ${hash}`);

const outOfOrder = (hash: string, index: number, next: number): GraftError =>
  new GraftError('CHUNK_OUT_OF_ORDER', `chunk ${index} of blob ${hash}, the next one is ${next}`);
