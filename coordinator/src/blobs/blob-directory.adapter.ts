/**
 * Blobs in a directory: `<2 hex>/<hash>` for whole ones, `partial/<hash>` for those that are being received.
 * A blob appears by rename after fsync, so that a name always stands for verified, durable bytes.
 */
import { createHash, randomBytes, type Hash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { constants } from 'node:fs';
import { dirname, join } from 'node:path';

import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';
import type { BlobRef } from '@graft/models/pipeline/pipeline';
import { partialsToSweep, type Partial, type SweepLimits } from '@graft/protos/transfer/partials';

import type { BlobStore, Swept } from './blob-store.js';
import { openFiles } from './open-files.adapter.js';

/** The file system calls that may fail; tests replace them. */
export type BlobFiles = Pick<typeof fs, 'mkdir' | 'open' | 'readdir' | 'readFile' | 'rename' | 'rm' | 'stat'>;

const { chunkBytes } = limits;

const codeOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';

/** A full disk, a quota or a file size limit becomes DISK_FULL; other errors pass as they are. */
function storageError(error: unknown, directory: string): unknown {
  if (!['ENOSPC', 'EDQUOT', 'EFBIG'].includes(codeOf(error))) return error;
  return new GraftError('DISK_FULL', `no space is left for blobs in ${directory}`, { cause: error });
}

function checkHash(hash: string): string {
  if (/^[0-9a-f]{64}$/u.test(hash)) return hash;
  throw new GraftError('INVALID_REQUEST', `'${hash.slice(0, 80)}' is not a sha256 in lower-case hex`);
}

/** Throws DISK_FULL where the directory cannot be made. */
export async function openBlobDirectory(directory: string, files: BlobFiles = fs): Promise<BlobStore> {
  const path = (hash: string): string => join(directory, checkHash(hash).slice(0, 2), hash);
  const partialPath = (hash: string): string => join(directory, 'partial', checkHash(hash));
  await files.mkdir(join(directory, 'partial'), { recursive: true, mode: 0o700 });
  const open = openFiles(files);
  /** Running hashes of blobs that this process has received from their first byte on. */
  const received = new Map<string, { readonly hash: Hash; sizeBytes: number }>();

  async function sizeOf(file: string): Promise<number | undefined> {
    return (await files.stat(file).catch(missing))?.size;
  }

  /** Makes the names in a directory durable. */
  async function syncDirectory(name: string): Promise<void> {
    const handle = await files.open(name, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  /** Moves a synced file to its place for good. */
  async function publish(from: string, hash: string): Promise<void> {
    const to = path(hash);
    await files.mkdir(dirname(to), { recursive: true, mode: 0o700 });
    await files.rename(from, to);
    await syncPlace(hash);
  }

  /** Makes the name of a blob last. Also for one that is there already: whoever moved it may have died before this. */
  async function syncPlace(hash: string): Promise<void> {
    await syncDirectory(dirname(path(hash)));
    await syncDirectory(directory);
  }

  async function isStored(hash: string, sizeBytes: number): Promise<boolean> {
    if ((await sizeOf(path(hash))) !== sizeBytes) return false;
    await syncPlace(hash);
    return true;
  }

  /** Calls that change one blob, one after another: a late chunk must not write into a file that has just been verified. */
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

  async function writeWhole(file: string, bytes: Uint8Array): Promise<void> {
    const handle = await files.open(file, 'wx', 0o600);
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  async function put(bytes: Uint8Array): Promise<BlobRef> {
    const hash = createHash('sha256').update(bytes).digest('hex');
    const ref = { hash, sizeBytes: bytes.byteLength };
    if (await isStored(hash, bytes.byteLength)) return ref;
    const temporary = join(directory, 'partial', `${hash}.${randomBytes(6).toString('hex')}`);
    try {
      await writeWhole(temporary, bytes);
      await publish(temporary, hash);
    } catch (error) {
      await files.rm(temporary, { force: true });
      throw storageError(error, directory);
    }
    return ref;
  }

  async function readChunk(hash: string, index: number, into?: Uint8Array): Promise<Uint8Array> {
    const file = path(hash);
    const offset = index * chunkBytes;
    const chunk = into ?? new Uint8Array(chunkBytes);
    const read = async (handle: fs.FileHandle): Promise<number> =>
      Number.isSafeInteger(offset) && offset >= 0
        ? (await handle.read(chunk, 0, Math.min(chunkBytes, chunk.byteLength), offset)).bytesRead
        : 0;
    let length: number;
    try {
      length = await open.use(file, 'r', read);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') throw new GraftError('NOT_FOUND', `no blob ${hash}`, { cause: error });
      throw error;
    }
    if (length === 0) throw new GraftError('CHUNK_OUT_OF_RANGE', `blob ${hash} has no chunk ${index}`);
    return chunk.subarray(0, length);
  }

  async function appendChunk(hash: string, index: number, bytes: Uint8Array): Promise<void> {
    const file = partialPath(hash);
    if (bytes.byteLength > chunkBytes)
      throw new GraftError('TOO_LARGE', `a chunk of ${bytes.byteLength} bytes, the limit is ${chunkBytes}`);
    // Asked each time, because another process may have received the chunks since.
    const size = (await sizeOf(file)) ?? 0;
    const next = Math.floor(size / chunkBytes);
    if (index !== next)
      throw new GraftError('CHUNK_OUT_OF_ORDER', `chunk ${index} of blob ${hash}, the next one is ${next}`);
    if (size === 0) received.set(hash, { hash: createHash('sha256'), sizeBytes: 0 });
    const running = received.get(hash);
    received.delete(hash);
    try {
      await open.use(file, constants.O_RDWR | constants.O_CREAT, async (handle) => {
        // A chunk that a crash or a full disk cut short is written over.
        if (size % chunkBytes !== 0) await handle.truncate(next * chunkBytes);
        await writeAt(handle, bytes, next * chunkBytes);
      });
    } catch (error) {
      throw storageError(error, directory);
    }
    if (running?.sizeBytes !== size || size % chunkBytes !== 0) return;
    running.hash.update(bytes);
    running.sizeBytes += bytes.byteLength;
    received.set(hash, running);
  }

  /** Forgets what is being received, and closes its file. */
  async function endReceiving(hash: string): Promise<void> {
    received.delete(hash);
    await open.close(partialPath(hash));
  }

  /** sha256 of a file, a chunk at a time, so that nobody waits long for the event loop. */
  async function hashOf(handle: fs.FileHandle): Promise<string> {
    const hash = createHash('sha256');
    const buffer = new Uint8Array(chunkBytes);
    for (let position = 0; ;) {
      const { bytesRead } = await handle.read(buffer, 0, chunkBytes, position);
      if (bytesRead === 0) return hash.digest('hex');
      hash.update(buffer.subarray(0, bytesRead));
      position += bytesRead;
    }
  }

  async function finish(hash: string, sizeBytes: number): Promise<BlobRef> {
    if (await isStored(hash, sizeBytes)) return { hash, sizeBytes };
    const file = partialPath(hash);
    const size = await sizeOf(file);
    if (size === undefined) throw new GraftError('NOT_FOUND', `nothing of blob ${hash} has been received`);
    try {
      const running = received.get(hash);
      const actual = await open.use(file, 'r+', async (handle) => {
        const isWhole = running?.sizeBytes === size;
        // The disk works while the processor hashes what came before this process, or to another.
        const [digest] = await Promise.all([isWhole ? running.hash.digest('hex') : hashOf(handle), handle.sync()]);
        return digest;
      });
      await endReceiving(hash);
      if (actual !== hash || size !== sizeBytes) {
        await files.rm(file, { force: true });
        throw new GraftError(
          'BLOB_CORRUPT',
          `blob ${hash} of ${sizeBytes} bytes came as ${size} bytes with sha256 ${actual}`,
        );
      }
      await publish(file, hash);
    } catch (error) {
      await endReceiving(hash);
      throw storageError(error, directory);
    }
    return { hash, sizeBytes };
  }

  /** Also finds what a `put` that was killed left. */
  async function sweepPartials(limits: SweepLimits): Promise<Swept> {
    const found: Partial[] = [];
    for (const name of await files.readdir(join(directory, 'partial'))) {
      const file = await files.stat(join(directory, 'partial', name)).catch(missing);
      if (file !== undefined) found.push({ name, sizeBytes: file.size, writtenAtMs: file.mtimeMs });
    }
    const swept = partialsToSweep(found, limits);
    for (const { name } of swept) {
      await inTurn(name, async () => {
        received.delete(name);
        await open.close(join(directory, 'partial', name));
        await files.rm(join(directory, 'partial', name), { force: true });
      });
    }
    return { count: swept.length, sizeBytes: swept.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) };
  }

  return {
    has: (hash) => sizeOf(path(hash)),
    put,
    read: async (hash) => {
      if ((await sizeOf(path(hash))) === undefined) throw new GraftError('NOT_FOUND', `no blob ${hash}`);
      return files.readFile(path(hash));
    },
    readChunk,
    partial: async (hash) => Math.floor(((await sizeOf(partialPath(hash))) ?? 0) / chunkBytes),
    appendChunk: (hash, index, bytes) => inTurn(hash, () => appendChunk(hash, index, bytes)),
    finish: (hash, sizeBytes) => inTurn(hash, () => finish(hash, sizeBytes)),
    delete: (hash) =>
      inTurn(hash, async () => {
        await open.close(path(hash));
        await endReceiving(hash);
        await files.rm(path(hash), { force: true });
        await files.rm(partialPath(hash), { force: true });
      }),
    sweepPartials,
    path,
  };
}

function missing(error: unknown): undefined {
  if (codeOf(error) !== 'ENOENT') throw error;
}

/** Writes all of `bytes`; one write may take fewer. */
async function writeAt(handle: fs.FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let written = 0; written < bytes.byteLength;) {
    const { bytesWritten } = await handle.write(bytes, written, bytes.byteLength - written, position + written);
    written += bytesWritten;
  }
}
