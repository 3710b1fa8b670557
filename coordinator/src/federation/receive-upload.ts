/**
 * One upload into the blob store, chunk by chunk: everything is checked before a byte is written, and what is stored stays,
 * so that a cut connection costs one chunk.
 */
import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';
import type { BlobRef } from '@graft/models/pipeline/pipeline';
import { chunkCount, chunkRange } from '@graft/protos/chunks';
import type { Chunk } from '@graft/protos/messages';

import type { BlobStore } from '../blobs/blob-store.js';

export interface UploadStart {
  readonly blob: BlobRef;
  readonly firstChunk: number;
}

/** What the metadata of an upload say. Throws INVALID_REQUEST, naming the field. */
export function uploadStart(fields: {
  readonly hash: string;
  readonly size: string;
  readonly firstChunk: string;
}): UploadStart {
  const whole = (name: string, text: string): number => {
    const value = /^\d{1,15}$/u.test(text) ? Number(text) : undefined;
    if (value === undefined)
      throw new GraftError('INVALID_REQUEST', `${name} '${text.slice(0, 40)}' is not a whole number`);
    return value;
  };
  return {
    blob: checkBlobRef({ hash: fields.hash, sizeBytes: whole('graft-size', fields.size) }),
    firstChunk: whole('graft-first-chunk', fields.firstChunk),
  };
}

/** The reference, once it is one. Throws INVALID_REQUEST. */
export function checkBlobRef(blob: BlobRef | null): BlobRef {
  if (blob === null) throw new GraftError('INVALID_REQUEST', 'the request names no blob');
  if (!/^[0-9a-f]{64}$/u.test(blob.hash)) {
    throw new GraftError('INVALID_REQUEST', `'${blob.hash.slice(0, 80)}' is not a sha256 in lower-case hex`);
  }
  if (!Number.isSafeInteger(blob.sizeBytes) || blob.sizeBytes < 1) {
    throw new GraftError('INVALID_REQUEST', `a blob of ${blob.sizeBytes} bytes`);
  }
  return blob;
}

/** Leading chunks that are stored, and whether the blob is complete. */
export async function uploadState(blobs: BlobStore, blob: BlobRef): Promise<{ nextChunk: number; complete: boolean }> {
  const size = await blobs.has(blob.hash);
  if (size !== undefined) return { nextChunk: chunkCount(size), complete: true };
  return { nextChunk: await blobs.partial(blob.hash), complete: false };
}

/**
 * Stores the chunks of a blob and answers once the whole is durable and verified.
 * @param received called with the bytes of each chunk before it is written; may throw to refuse them
 */
export async function receiveUpload(
  blobs: BlobStore,
  { blob, firstChunk }: UploadStart,
  chunks: AsyncIterable<Chunk>,
  received: (bytes: number) => void,
): Promise<BlobRef> {
  const state = await uploadState(blobs, blob);
  if (state.complete) return blob;
  if (firstChunk !== state.nextChunk) {
    throw new GraftError(
      'CHUNK_OUT_OF_ORDER',
      `the upload starts at chunk ${firstChunk}, the next one is ${state.nextChunk}`,
    );
  }
  const count = chunkCount(blob.sizeBytes);
  let index = firstChunk;
  for await (const { data } of chunks) {
    if (index >= count) throw new GraftError('TOO_LARGE', `chunk ${index + 1} of a blob that has ${count}`);
    const { length } = chunkRange(blob.sizeBytes, index);
    if (data.byteLength !== length) {
      throw new GraftError(
        'INVALID_REQUEST',
        `chunk ${index} has ${data.byteLength} bytes, it must have ${length} (chunks are ${limits.chunkBytes} bytes, the last has what remains)`,
      );
    }
    received(length);
    await blobs.appendChunk(blob.hash, index, data);
    index++;
  }
  if (index < count) {
    throw new GraftError('CHUNK_OUT_OF_ORDER', `the upload ended after ${index} of ${count} chunks; they are kept`);
  }
  return blobs.finish(blob.hash, blob.sizeBytes);
}
