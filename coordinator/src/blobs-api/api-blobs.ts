/** Blobs through the admin API: a stream of any pieces into the store's chunks, and back. */
import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';
import type { BlobRef } from '@graft/models/pipeline/pipeline';
import { chunkCount, chunkRange } from '@graft/protos/chunks';

import type { BlobStore } from '../blobs/blob-store.js';

export interface ApiBlobs {
  /** Stores a blob whose bytes come in pieces. Throws TOO_LARGE, BLOB_CORRUPT, INVALID_REQUEST. */
  receive(hash: string, sizeBytes: number, pieces: AsyncIterable<Uint8Array>): Promise<BlobRef>;
  /** Throws NOT_FOUND. */
  find(hash: string): Promise<BlobRef>;
  chunks(blob: BlobRef): AsyncIterable<Uint8Array>;
}

export function apiBlobs(store: BlobStore): ApiBlobs {
  const receiving = new Map<string, Promise<unknown>>();
  const receive = async (hash: string, sizeBytes: number, pieces: AsyncIterable<Uint8Array>): Promise<BlobRef> => {
    const known = await store.has(hash);
    if (known !== undefined) return { hash, sizeBytes: known };
    const stored = await store.partial(hash);
    let index = 0;
    for await (const chunk of inChunks(pieces, sizeBytes)) {
      if (index >= stored) await store.appendChunk(hash, index, chunk);
      index++;
    }
    return store.finish(hash, sizeBytes);
  };
  return {
    receive: async (hash, sizeBytes, pieces) => {
      if (sizeBytes > limits.onnxBytes) {
        throw new GraftError('TOO_LARGE', `a blob of ${sizeBytes} bytes, the limit is ${limits.onnxBytes}`);
      }
      const before = receiving.get(hash) ?? Promise.resolve();
      const mine = before.then(
        async () => receive(hash, sizeBytes, pieces),
        async () => receive(hash, sizeBytes, pieces),
      );
      receiving.set(hash, mine);
      try {
        return await mine;
      } finally {
        if (receiving.get(hash) === mine) receiving.delete(hash);
      }
    },
    find: async (hash) => {
      const sizeBytes = await store.has(hash);
      if (sizeBytes === undefined) throw new GraftError('NOT_FOUND', `no blob ${hash}`);
      return { hash, sizeBytes };
    },
    chunks: async function* chunks({ hash, sizeBytes }) {
      for (let index = 0; index < chunkCount(sizeBytes); index++) yield store.readChunk(hash, index);
    },
  };
}

/** The same bytes in chunks of `limits.chunkBytes`. Throws INVALID_REQUEST where they are not `sizeBytes`. */
export async function* inChunks(pieces: AsyncIterable<Uint8Array>, sizeBytes: number): AsyncGenerator<Uint8Array> {
  let index = 0;
  let received = 0;
  let chunk = new Uint8Array(nextLength(sizeBytes, 0));
  let filled = 0;
  for await (const piece of pieces) {
    received += piece.byteLength;
    if (received > sizeBytes) break;
    for (let at = 0; at < piece.byteLength;) {
      const part = piece.subarray(at, at + chunk.byteLength - filled);
      chunk.set(part, filled);
      filled += part.byteLength;
      at += part.byteLength;
      if (filled < chunk.byteLength) continue;
      yield chunk;
      index++;
      filled = 0;
      chunk = new Uint8Array(nextLength(sizeBytes, index));
    }
  }
  if (received !== sizeBytes) {
    throw new GraftError('INVALID_REQUEST', `content-length says ${sizeBytes} bytes, ${received} came`);
  }
}

function nextLength(sizeBytes: number, index: number): number {
  return index < chunkCount(sizeBytes) ? chunkRange(sizeBytes, index).length : 0;
}
