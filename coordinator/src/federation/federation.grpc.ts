/** graft.v1.Federation: decodes, checks who calls, calls the engine or the blob store, encodes. */
import type { ServerReadableStream, ServerUnaryCall, ServerWritableStream } from '@grpc/grpc-js';

import type { Clock } from '@graft/core/clock';
import { GraftError } from '@graft/core/error';
import { chunkCount } from '@graft/protos/chunks';
import { uploadMetadata } from '@graft/protos/clients.adapter';
import type * as wire from '@graft/protos/messages';
import type { FederationHandlers } from '@graft/protos/service-definitions.adapter';

import type { BlobStore } from '../blobs/blob-store.js';
import type { Rounds } from '../rounds/rounds.js';
import type { Log } from '../server/log.js';
import { admitAgent, agreeOnProtocol, checkClocks } from './admission.js';
import type { AgentDirectory, KnownAgent } from './agent-directory.js';
import type { Grants } from './grants.js';
import { wellFormed } from './guarded-service.adapter.js';
import { clientStream, endWith, serverStream, unary } from './handlers.adapter.js';
import type { Hub, InstructionStream } from './hub.js';
import { agentIdOf } from './peer.adapter.js';
import { checkBlobRef, receiveUpload, uploadStart, uploadState } from './receive-upload.js';
import type { TransferMeter } from './transfer-meter.js';

export interface FederationPorts {
  readonly agents: AgentDirectory;
  readonly blobs: BlobStore;
  readonly rounds: Rounds;
  readonly hub: Hub;
  readonly grants: Grants;
  readonly meter: TransferMeter;
  readonly clock: Clock;
  readonly log: Log;
  readonly version: string;
}

/** How often an agent at work reports progress. */
const heartbeatMs = 5_000;

/** An upload that sends nothing for so long is cut; it goes on from the last chunk when it comes back. */
const silentUploadMs = 120_000;

export function federationHandlers(ports: FederationPorts): FederationHandlers {
  const { agents, blobs, rounds, hub, grants, clock, log } = ports;
  const admitted = <Request, Response>(
    answer: (agent: KnownAgent, request: Request) => Promise<Response>,
  ): ReturnType<typeof unary<Request, Response>> =>
    unary(log, async (request, call: ServerUnaryCall<Request, Response>) =>
      answer(await admitAgent(agents, agentIdOf(call)), request),
    );
  return {
    connect: serverStream(log, async (request, call) => connect(ports, request, call)),
    heartbeat: admitted(async (agent, request) => {
      await hub.paused(agent.id, pausedOf(request));
      const { capabilities } = request;
      if (capabilities) await agents.seen(agent.id, { atMs: clock.nowMs(), capabilities: bounded(capabilities) });
      if (request.runId !== '') rounds.progress(agent.id, request);
      return { nextMs: heartbeatMs };
    }),
    download: serverStream(log, async (request, call) => download(ports, request, call)),
    uploadState: admitted(async (agent, { blob: named }) => {
      const blob = checkBlobRef(named);
      grants.checkUpload(agent.id, blob.sizeBytes);
      return uploadState(blobs, blob);
    }),
    upload: clientStream(log, async (call) => upload(ports, call)),
    reportUpdate: admitted(async (agent, { manifest, signature }) =>
      rounds.reportUpdate(agent.id, manifest, signature),
    ),
    reportFailure: admitted(async (agent, report) => rounds.reportFailure(agent.id, report)),
    reportEvaluation: admitted(async (agent, report) => rounds.reportEvaluation(agent.id, report)),
    reportInstalled: admitted(async (agent, report) => rounds.reportInstalled(agent.id, report)),
  };
}

async function connect(
  ports: FederationPorts,
  request: wire.ConnectRequest,
  call: ServerWritableStream<wire.ConnectRequest, wire.Instruction>,
): Promise<void> {
  const { agents, hub, clock, log } = ports;
  const agent = await admitAgent(agents, agentIdOf(call));
  const atMs = clock.nowMs();
  const protocol = agreeOnProtocol({ min: request.minProtocol, max: request.maxProtocol });
  checkClocks(atMs, request.clockMs);
  const { capabilities } = request;
  await agents.seen(agent.id, {
    atMs,
    version: request.agentVersion.slice(0, 64),
    ...(capabilities && { capabilities: bounded(capabilities) }),
  });
  const stream = instructionStream(call, log);
  call.once('close', () => {
    log.info({ agentId: agent.id, name: agent.name }, 'agent disconnected');
    const noted = Promise.all([agents.seen(agent.id, { atMs: clock.nowMs() }), hub.closed(agent.id, stream)]);
    noted.catch((error: unknown) => log.error({ err: error, agentId: agent.id }, 'a lost agent could not be noted'));
  });
  if (call.cancelled || call.destroyed) return;
  log.info({ agentId: agent.id, name: agent.name, agentVersion: request.agentVersion }, 'agent connected');
  const welcome = { protocol, coordinatorVersion: ports.version, heartbeatMs, clockMs: atMs };
  await hub.open(agent.id, stream, {
    welcome: { id: 'welcome', kind: 'welcome', welcome },
    paused: pausedOf(request),
  });
}

/** Why the agent takes no work, as it may be shown; empty where it does. */
function pausedOf({ paused = '' }: Pick<wire.ConnectRequest, 'paused'>): string {
  return paused.slice(0, 200);
}

/** Most words of a site about itself, and the longest of them. */
const words = { most: 64, longest: 128 };

/** What a site says of itself is kept and shown: no more than a site needs. */
function bounded(said: wire.Capabilities): wire.Capabilities {
  const few = (list: readonly string[] = []): string[] =>
    list.slice(0, words.most).map((word) => word.slice(0, words.longest));
  return { ...said, device: said.device.slice(0, 32), tags: few(said.tags), declinedTasks: few(said.declinedTasks) };
}

function instructionStream(
  call: ServerWritableStream<wire.ConnectRequest, wire.Instruction>,
  log: Log,
): InstructionStream {
  return {
    send: async (instruction) => {
      const error = await written(call, instruction);
      if (error) throw error;
    },
    end: (error) => {
      if (error === undefined) call.end();
      else endWith(call, error, log);
    },
  };
}

async function download(
  { agents, blobs, grants, meter }: FederationPorts,
  request: wire.DownloadRequest,
  call: ServerWritableStream<wire.DownloadRequest, wire.Chunk>,
): Promise<void> {
  const agent = await admitAgent(agents, agentIdOf(call));
  const size = grants.mayRead(agent.id, request.hash) ? await blobs.has(request.hash) : undefined;
  if (size === undefined)
    throw new GraftError('NOT_FOUND', `no blob ${request.hash.slice(0, 64)} for agent '${agent.name}'`);
  const count = chunkCount(size);
  if (request.firstChunk > count) {
    throw new GraftError('CHUNK_OUT_OF_RANGE', `first chunk ${request.firstChunk} of a blob that has ${count}`);
  }
  let sending: Promise<Error | undefined> = Promise.resolve(undefined);
  for (let index = request.firstChunk; index < count; index++) {
    const data = await blobs.readChunk(request.hash, index);
    if ((await sending) !== undefined) return;
    meter.countDown(agent.id, data.byteLength);
    sending = written(call, { data });
  }
  if ((await sending) === undefined) call.end();
}

async function upload(
  { agents, blobs, grants, meter }: FederationPorts,
  call: ServerReadableStream<wire.Chunk, wire.UploadReceipt>,
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
  const silent = new GraftError('TIMED_OUT', `an upload sent nothing for ${silentUploadMs / 1000} s`);
  const timer = setTimeout(() => call.destroy(silent), silentUploadMs);
  try {
    const blob = await receiveUpload(blobs, start, wellFormedChunks(call), (bytes) => {
      timer.refresh();
      grants.takeUploadBytes(agent.id, bytes);
      meter.countUp(agent.id, bytes);
    });
    return { blob };
  } finally {
    clearTimeout(timer);
  }
}

/**
 * grpc-js reads 16 messages ahead of a slow disk, which are 16 MiB an upload; two keep it busy. The stream is the call's own,
 * and has no option for it, so that its state is changed before anything is read.
 */
function boundReadAhead(call: ServerReadableStream<wire.Chunk, wire.UploadReceipt>): void {
  const { _readableState: state } = call as unknown as { readonly _readableState?: { highWaterMark: number } };
  if (state !== undefined) state.highWaterMark = 2;
}

async function* wellFormedChunks(call: AsyncIterable<unknown>): AsyncGenerator<wire.Chunk> {
  for await (const chunk of call) yield wellFormed(chunk as wire.Chunk);
}

/** Resolves when the stream takes more, with the error of a stream that is closed; never rejects. */
async function written<Message>(
  call: ServerWritableStream<never, Message> | ServerWritableStream<unknown, Message>,
  message: Message,
): Promise<Error | undefined> {
  if (call.cancelled || call.destroyed) return new Error('the stream is closed');
  return new Promise((resolve) => {
    const closed = (): void => resolve(new Error('the stream was closed'));
    call.once('close', closed);
    call.write(message, (error: Error | null | undefined) => {
      call.off('close', closed);
      resolve(error ?? undefined);
    });
  });
}
