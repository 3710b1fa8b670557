/** Blobs to and from the coordinator: in chunks, with back-pressure, from the last chunk that arrived. */
import { open, type FileHandle } from 'node:fs/promises';
import { once } from 'node:events';

import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';
import type { BlobRef } from '@graft/models/pipeline/pipeline';
import { allocateChunk } from '@graft/protos/chunk-codec.adapter';
import type { FederationClient, UploadCall } from '@graft/protos/clients.adapter';
import type * as wire from '@graft/protos/messages';

import type { BlobCache } from './blob-cache.adapter.js';
import { isCallError, isOutOfStep } from './call-errors.js';

/** How often an upload asks anew where to go on before it gives up. */
const resumes = 4;

/**
 * Downloads one blob unless it is there.
 * @returns bytes received
 * @throws NOT_FOUND where the coordinator has no such blob; the call's error where the connection broke
 */
export async function download(
  client: FederationClient,
  cache: BlobCache,
  blob: BlobRef,
  signal: AbortSignal,
): Promise<number> {
  try {
    return await cache.fetch(blob, (firstChunk) =>
      received(client.download({ hash: blob.hash, firstChunk }, { signal })),
    );
  } catch (error) {
    if (isCallError(error) && error.code === 5) {
      throw new GraftError('NOT_FOUND', `the coordinator has no blob ${blob.hash}`, { cause: error });
    }
    throw error;
  }
}

async function* received(chunks: AsyncIterable<wire.Chunk>): AsyncGenerator<Uint8Array> {
  for await (const { data } of chunks) yield data;
}

/**
 * Uploads a file, from the first chunk that the coordinator does not have.
 * @param onProgress share of the file that was handed to the connection
 */
export async function upload(
  client: FederationClient,
  source: { readonly file: string; readonly blob: BlobRef },
  options: {
    readonly signal: AbortSignal;
    /** Called before bytes leave, with how many will. */
    readonly onBegin: (bytes: number) => Promise<void>;
    readonly onProgress?: (progress: number) => void;
  },
): Promise<void> {
  const { blob, file } = source;
  const { signal } = options;
  for (let attempt = 1; ; attempt++) {
    const state = await client.uploadState({ blob }, { signal });
    if (state.complete) return;
    await options.onBegin(blob.sizeBytes - state.nextChunk * limits.chunkBytes);
    const handle = await open(file, 'r');
    try {
      const call = client.upload({ blob, firstChunk: state.nextChunk }, { signal });
      const answer = { isHere: false };
      // A refusal ends the writing early; it is thrown when the receipt is awaited.
      const answered = call.receipt.then(
        () => (answer.isHere = true),
        () => (answer.isHere = true),
      );
      await send(handle, blob.sizeBytes, {
        call,
        firstChunk: state.nextChunk,
        answer,
        answered,
        onProgress: options.onProgress,
      });
      await call.receipt;
      return;
    } catch (error) {
      if (!isOutOfStep(error) || attempt === resumes) throw error;
    } finally {
      await handle.close();
    }
  }
}

interface Sending {
  readonly call: UploadCall;
  readonly firstChunk: number;
  /** Whether the coordinator has answered already, which it does early where it refuses. */
  readonly answer: { readonly isHere: boolean };
  readonly answered: Promise<unknown>;
  readonly onProgress: ((progress: number) => void) | undefined;
}

async function send(
  handle: FileHandle,
  sizeBytes: number,
  { call, firstChunk, answer, answered, onProgress }: Sending,
): Promise<void> {
  for (let start = firstChunk * limits.chunkBytes; start < sizeBytes; start += limits.chunkBytes) {
    if (answer.isHere) return;
    const chunk = allocateChunk(Math.min(limits.chunkBytes, sizeBytes - start));
    const { bytesRead } = await handle.read(chunk.data, 0, chunk.data.length, start);
    if (bytesRead !== chunk.data.length) {
      call.chunks.destroy();
      throw new GraftError('TRANSFER_CORRUPT', `the sealed file ends at byte ${start + bytesRead} of ${sizeBytes}`);
    }
    if (!call.chunks.write(chunk)) await Promise.race([once(call.chunks, 'drain'), answered]);
    onProgress?.(Math.min(1, (start + chunk.data.length) / sizeBytes));
  }
  call.chunks.end();
}
