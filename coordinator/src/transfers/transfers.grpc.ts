/**
 * Blobs to and from agents: who may, how fast, from which chunk, and until when. Nobody holds more than a few chunks:
 * each side reads a chunk when it has dealt with the one before, and a peer that stands still is cut.
 */
import { Metadata, type ServerReadableStream, type ServerUnaryCall, type ServerWritableStream } from '@grpc/grpc-js';

import type { Clock, Timers } from '@graft/core/clock';
import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';
import type { BlobRef } from '@graft/models/pipeline/pipeline';
import { allocateChunk } from '@graft/protos/chunk-codec.adapter';
import { chunkCount } from '@graft/protos/chunks';
import { uploadMetadata } from '@graft/protos/clients.adapter';
import type * as wire from '@graft/protos/messages';
import type { FederationHandlers } from '@graft/protos/service-definitions.adapter';
import { deltaMetadata } from '@graft/protos/transfer/download-answer.adapter';
import { boundReadAhead } from '@graft/protos/transfer/read-ahead.adapter';
import { silentMs as usualSilentMs, watchSilence } from '@graft/protos/transfer/silence';

import type { BlobStore } from '../blobs/blob-store.js';
import { admitAgent } from '../federation/admission.js';
import type { AgentDirectory } from '../federation/agent-directory.js';
import type { Grants } from '../federation/grants.js';
import { wellFormed } from '../federation/guarded-service.adapter.js';
import { clientStream, serverStream, unary, written } from '../federation/handlers.adapter.js';
import { agentIdOf } from '../federation/peer.adapter.js';
import { checkBlobRef, receiveUpload, uploadStart, uploadState } from '../federation/receive-upload.js';
import type { TransferMeter } from '../federation/transfer-meter.js';
import type { Log } from '../server/log.js';
import { systemTimers } from '../server/timers.adapter.js';
import { agentPaces, type AgentPaces } from './agent-paces.js';
import { noDeltas, type Deltas } from './deltas.js';
import { resetStream } from './reset-stream.adapter.js';

export interface TransferPorts {
  readonly agents: AgentDirectory;
  readonly blobs: BlobStore;
  readonly grants: Grants;
  readonly meter: TransferMeter;
  readonly clock: Clock;
  readonly log: Log;
  /** Absent: blobs travel whole. */
  readonly deltas?: Deltas;
  /** A transfer of which nothing passes for so long is cut. */
  readonly silentMs?: number;
}

type Ports = Required<TransferPorts> & { readonly paces: AgentPaces; readonly timers: Timers };
type Outgoing = ServerWritableStream<wire.DownloadRequest, wire.Chunk>;
type Incoming = ServerReadableStream<wire.Chunk, wire.UploadReceipt>;

/** An agent has about ten checkpoints at most; more names are not looked at. */
const mostBases = 8;

export function transferHandlers(
  options: TransferPorts,
): Pick<FederationHandlers, 'download' | 'uploadState' | 'upload'> {
  const { agents, blobs, grants, clock, log } = options;
  const timers = systemTimers;
  const paces = agentPaces((agentId) => grants.rates(agentId), { ...timers, nowMs: () => clock.nowMs() });
  const ports: Ports = { deltas: noDeltas, silentMs: usualSilentMs, ...options, paces, timers };
  return {
    download: serverStream(log, async (request, call) => download(ports, request, call)),
    uploadState: unary(
      log,
      async ({ blob: named }, call: ServerUnaryCall<wire.UploadStateRequest, wire.UploadStateResponse>) => {
        const agent = await admitAgent(agents, agentIdOf(call));
        const blob = checkBlobRef(named);
        grants.checkUpload(agent.id, blob.sizeBytes);
        return uploadState(blobs, blob);
      },
    ),
    upload: clientStream(log, async (call) => upload(ports, call)),
  };
}

async function download(ports: Ports, request: wire.DownloadRequest, call: Outgoing): Promise<void> {
  const { agents, blobs, grants } = ports;
  const agent = await admitAgent(agents, agentIdOf(call));
  const size = grants.mayRead(agent.id, request.hash) ? await blobs.has(request.hash) : undefined;
  if (size === undefined)
    throw new GraftError('NOT_FOUND', `no blob ${request.hash.slice(0, 64)} for agent '${agent.name}'`);
  const { blob, firstChunk } = await whatToSend(ports, agent.id, request, {
    call,
    whole: { hash: request.hash, sizeBytes: size },
  });
  const count = chunkCount(blob.sizeBytes);
  if (firstChunk > count) {
    throw new GraftError('CHUNK_OUT_OF_RANGE', `first chunk ${firstChunk} of a blob that has ${count}`);
  }
  await sendChunks(ports, { agentId: agent.id, blob, firstChunk }, call);
}

/** The whole, or a delta of it where the agent has a base; then the call's initial metadata say which, and from where. */
async function whatToSend(
  { deltas, grants }: Ports,
  agentId: string,
  request: wire.DownloadRequest,
  { call, whole }: { readonly call: Outgoing; readonly whole: BlobRef },
): Promise<{ readonly blob: BlobRef; readonly firstChunk: number }> {
  const { bases = [], delta: half = '' } = request;
  if (bases.length === 0) return { blob: whole, firstChunk: request.firstChunk };
  // Who has the blob and its delta has the base too: an agent gets no delta to what it may not read.
  const readable: string[] = [];
  for (const base of bases.slice(0, mostBases)) {
    if (base !== whole.hash && (await grants.mayHaveRead(agentId, base))) readable.push(base);
  }
  const delta = readable.length === 0 ? undefined : await deltas.find(readable, whole);
  const blob = delta?.blob ?? whole;
  const goesOn = half === (delta?.blob.hash ?? '');
  const firstChunk = goesOn ? request.firstChunk : 0;
  const metadata = new Metadata();
  metadata.set(deltaMetadata.firstChunk, String(firstChunk));
  if (delta !== undefined) {
    metadata.set(deltaMetadata.from, delta.from);
    metadata.set(deltaMetadata.hash, delta.blob.hash);
    metadata.set(deltaMetadata.size, String(delta.blob.sizeBytes));
  }
  if (!call.cancelled) call.sendMetadata(metadata);
  return { blob, firstChunk };
}

/** Reads one chunk ahead of the one that waits for the agent's window, and no further. */
async function sendChunks(
  { blobs, meter, paces, timers, silentMs, log }: Ports,
  { agentId, blob, firstChunk }: { readonly agentId: string; readonly blob: BlobRef; readonly firstChunk: number },
  call: Outgoing,
): Promise<void> {
  const count = chunkCount(blob.sizeBytes);
  const down = paces.down(agentId);
  const send = async (data: Uint8Array): Promise<Error | undefined> => {
    await down.take(data.byteLength);
    const watch = watchSilence(timers, silentMs, () => {
      log.warn({ agentId, hash: blob.hash, silentMs }, 'a download stands still and is cut');
      resetStream(call);
    });
    const error = await written(call, { data });
    watch.end();
    return error;
  };
  // What was written has been copied by the time that it is done: two chunks take turns.
  const rooms = [allocateChunk(limits.chunkBytes).data, allocateChunk(limits.chunkBytes).data];
  let sending: Promise<Error | undefined> = Promise.resolve(undefined);
  for (let index = firstChunk; index < count; index++) {
    const data = await blobs.readChunk(blob.hash, index, rooms[index % 2]);
    if ((await sending) !== undefined) return;
    meter.countDown(agentId, data.byteLength);
    sending = send(data);
  }
  if ((await sending) === undefined) call.end();
}

async function upload(
  { agents, blobs, grants, meter, paces, timers, silentMs }: Ports,
  call: Incoming,
): Promise<wire.UploadReceipt> {
  const field = (name: string): string => String(call.metadata.get(name)[0] ?? '');
  const start = uploadStart({
    hash: field(uploadMetadata.blob),
    size: field(uploadMetadata.size),
    firstChunk: field(uploadMetadata.firstChunk),
  });
  boundReadAhead(call);
  const agent = await admitAgent(agents, agentIdOf(call));
  grants.checkUpload(agent.id, start.blob.sizeBytes);
  const up = paces.up(agent.id);
  const silent = new GraftError('TIMED_OUT', `an upload sent nothing for ${silentMs / 1000} s; what came is kept`);
  const watch = watchSilence(timers, silentMs, () => call.destroy(silent));
  const chunks = async function* chunks(): AsyncGenerator<wire.Chunk> {
    for await (const chunk of call as AsyncIterable<wire.Chunk>) {
      watch.end();
      yield wellFormed(chunk);
      await up.take(chunk.data.byteLength);
      watch.progress();
    }
    watch.end();
  };
  try {
    const blob = await receiveUpload(blobs, start, chunks(), (bytes) => {
      grants.takeUploadBytes(agent.id, bytes);
      meter.countUp(agent.id, bytes);
    });
    return { blob };
  } finally {
    watch.end();
  }
}
