/**
 * One attempt at a blob: from the chunk that is missing, whole or as the difference to a checkpoint that is here. It is paced,
 * and cut when nothing comes; whoever calls tries again, and only the rest travels.
 */
import { once } from 'node:events';

import type { ClientReadableStream, Metadata } from '@grpc/grpc-js';

import type { Clock, Timers } from '@graft/core/clock';
import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';
import type { BlobRef } from '@graft/models/pipeline/pipeline';
import type { FederationClient } from '@graft/protos/clients.adapter';
import type * as wire from '@graft/protos/messages';
import { readDownloadAnswer } from '@graft/protos/transfer/download-answer.adapter';
import type { Pace } from '@graft/protos/transfer/pace';
import { boundReadAhead } from '@graft/protos/transfer/read-ahead.adapter';
import { watchSilence } from '@graft/protos/transfer/silence';

import type { BlobCache, Kept } from '../daemon/blob-cache.adapter.js';
import { isCallError } from '../daemon/call-errors.js';

export interface DownloadPorts {
  readonly cache: BlobCache;
  readonly pace: Pace;
  readonly time: Clock & Timers;
  readonly silentMs: number;
}

export interface DownloadOptions {
  readonly signal: AbortSignal;
  /** Whether to ask for a delta. */
  readonly wantsDelta: boolean;
  /** Bytes of the blob or its delta that are here now, and all of them. */
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
}

/** What came in this attempt. */
export interface Downloaded {
  readonly bytes: number;
  readonly isDelta: boolean;
}

/** Checkpoints that are offered as the base of a delta. */
const mostBases = 4;

/** What is smaller is fetched whole. */
const leastDeltaBytes = 256 << 10;

/**
 * @throws NOT_FOUND where the coordinator has no such blob, TRANSFER_CORRUPT, DELTA_INVALID, DISK_FULL, or the call's error
 * where it broke
 */
export async function download(
  ports: DownloadPorts,
  client: FederationClient,
  blob: BlobRef,
  options: DownloadOptions,
): Promise<Downloaded> {
  const { cache } = ports;
  const kept = await cache.kept(blob.hash);
  // A whole of which chunks are here goes on as it is.
  const isWhole = kept.chunks > 0 && kept.delta === undefined;
  const mayDelta = options.wantsDelta && !isWhole && blob.sizeBytes >= leastDeltaBytes;
  const bases = mayDelta ? await cache.ofSize(blob.sizeBytes, mostBases) : [];
  const request = requestOf(blob, kept, bases);
  const calls: OpenCall[] = [];
  const start = (): OpenCall => {
    const call = open(client, request, options.signal);
    calls.push(call);
    return call;
  };
  try {
    if (bases.length === 0) {
      const { firstChunk } = request;
      // The call begins once what is here has been read again: then its first chunk is stored as it comes.
      const chunks = paced(ports, start, { firstChunk, total: blob.sizeBytes, options });
      return { bytes: await cache.receive(blob, { firstChunk, chunks }), isDelta: false };
    }
    return await answered(ports, { blob, request, options }, start());
  } catch (error) {
    if (isCallError(error) && error.code === 5) {
      throw new GraftError('NOT_FOUND', `the coordinator has no blob ${blob.hash}`, { cause: error });
    }
    throw error;
  } finally {
    for (const call of calls) call.cancel();
  }
}

interface Asked {
  readonly blob: BlobRef;
  readonly request: wire.DownloadRequest;
  readonly options: DownloadOptions;
}

/** Takes what the coordinator chose to send, whole or delta. */
async function answered(ports: DownloadPorts, { blob, request, options }: Asked, call: OpenCall): Promise<Downloaded> {
  const { cache } = ports;
  // A delta may have to be made first.
  const watch = watchSilence(ports.time, ports.silentMs, () => call.cancel());
  const [metadata] = (await once(call.chunks, 'metadata').finally(() => watch.end())) as [Metadata];
  const answer = readDownloadAnswer(metadata);
  if (answer === undefined && request.delta !== undefined) {
    await cache.drop(blob.hash);
    throw new GraftError('TRANSFER_CORRUPT', `the coordinator knows no deltas any more; ${blob.hash} is fetched whole`);
  }
  const { firstChunk, delta } = answer ?? { firstChunk: request.firstChunk };
  const total = delta?.blob.sizeBytes ?? blob.sizeBytes;
  const arriving = { firstChunk, chunks: paced(ports, () => call, { firstChunk, total, options }) };
  const bytes =
    delta === undefined ? await cache.receive(blob, arriving) : await cache.receiveDelta(blob, delta, arriving);
  return { bytes, isDelta: delta !== undefined };
}

function requestOf(blob: BlobRef, kept: Kept, bases: readonly string[]): wire.DownloadRequest {
  if (bases.length === 0) return { hash: blob.hash, firstChunk: kept.delta === undefined ? kept.chunks : 0 };
  return { hash: blob.hash, firstChunk: kept.chunks, bases, ...(kept.delta !== undefined && { delta: kept.delta }) };
}

interface OpenCall {
  readonly chunks: ClientReadableStream<wire.Chunk>;
  cancel(): void;
}

function open(client: FederationClient, request: wire.DownloadRequest, signal: AbortSignal): OpenCall {
  const over = new AbortController();
  const chunks = client.download(request, { signal: AbortSignal.any([signal, over.signal]) });
  boundReadAhead(chunks);
  // Until its first read grpc-js takes whatever comes, without a bound.
  chunks.read(0);
  // Its end is heard where it is read; one that comes after that is of no interest.
  chunks.on('error', () => undefined);
  return { chunks, cancel: () => over.abort() };
}

interface Passing {
  readonly firstChunk: number;
  readonly total: number;
  readonly options: DownloadOptions;
}

/** The next chunk is asked for once this one is stored and the line may be used again. */
async function* paced(
  { pace, time, silentMs }: DownloadPorts,
  start: () => OpenCall,
  { firstChunk, total, options }: Passing,
): AsyncGenerator<Uint8Array> {
  const call = start();
  let done = firstChunk * limits.chunkBytes;
  const watch = watchSilence(time, silentMs, () => call.cancel());
  try {
    for await (const { data } of call.chunks as AsyncIterable<wire.Chunk>) {
      watch.end();
      yield data;
      done += data.byteLength;
      options.onProgress(Math.min(done, total), total);
      await pace.take(data.byteLength, options.signal);
      watch.progress();
    }
  } finally {
    watch.end();
  }
}
