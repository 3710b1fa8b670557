/** A blob store in memory for specs of its callers: the port's behaviour without a disk. */
import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';
import { sha256 } from '@graft/models/formats/sha256.adapter';

import type { BlobStore } from '../blobs/blob-store.js';

export interface MemoryBlobs extends BlobStore {
  readonly stored: Map<string, Uint8Array>;
}

export function memoryBlobs(): MemoryBlobs {
  const stored = new Map<string, Uint8Array>();
  const partial = new Map<string, Uint8Array[]>();
  const read = async (hash: string): Promise<Uint8Array> => {
    const bytes = stored.get(hash);
    if (bytes === undefined) throw new GraftError('NOT_FOUND', `no blob ${hash}`);
    return bytes;
  };
  return {
    stored,
    has: async (hash) => stored.get(hash)?.byteLength,
    put: async (bytes) => {
      const hash = sha256(bytes);
      stored.set(hash, bytes);
      return { hash, sizeBytes: bytes.byteLength };
    },
    read,
    readChunk: async (hash, index) =>
      (await read(hash)).slice(index * limits.chunkBytes, (index + 1) * limits.chunkBytes),
    partial: async (hash) => partial.get(hash)?.length ?? 0,
    appendChunk: async (hash, index, bytes) => {
      const chunks = partial.get(hash) ?? [];
      if (index !== chunks.length)
        throw new GraftError('CHUNK_OUT_OF_ORDER', `chunk ${index}, the next is ${chunks.length}`);
      partial.set(hash, [...chunks, Uint8Array.from(bytes)]);
    },
    finish: async (hash, sizeBytes) => {
      const bytes = Uint8Array.from(Buffer.concat(partial.get(hash) ?? []));
      partial.delete(hash);
      if (bytes.byteLength !== sizeBytes || sha256(bytes) !== hash) throw new GraftError('BLOB_CORRUPT', `not ${hash}`);
      stored.set(hash, bytes);
      return { hash, sizeBytes };
    },
    delete: async (hash) => void stored.delete(hash),
    sweepPartials: async () => {
      const swept = [...partial.values()].flat();
      partial.clear();
      return { count: swept.length, sizeBytes: swept.reduce((sum, { byteLength }) => sum + byteLength, 0) };
    },
    path: (hash) => `memory:${hash}`,
  };
}
