/** Puts the daemon together from an agent's directory, and runs it until it is told to stop. */
import { availableParallelism } from 'node:os';

import { GraftError } from '@graft/core/error';
import { random, seedFrom } from '@graft/core/random';
import { federationClient } from '@graft/protos/clients.adapter';
import { protocolRange } from '@graft/protos/version';
import { credentials } from '@grpc/grpc-js';

import { openAgentDirectory, type EnrolledAgent } from '../config/agent-directory.adapter.js';
import { lockDirectory } from '../config/directory-lock.adapter.js';
import type { DataSummary } from '../data/dataset.js';
import type { AgentContext } from '../jobs/agent-context.js';
import { messageOf } from '../output/output.js';
import { currentRelease } from '../releases/release-store.adapter.js';
import { createTrainer, type Trainer } from '../trainer/trainer-process.driver.js';
import { agentVersion } from '../version.js';
import type { AgentStatus } from './agent-status.js';
import { openBlobCache } from './blob-cache.adapter.js';
import { Connection } from './connection.driver.js';
import { Daemon } from './daemon.driver.js';
import type { DaemonEvent } from './daemon-events.js';
import { openOutbox } from './outbox.adapter.js';
import { openSentLog } from './sent-log.adapter.js';
import { openStatusFile } from './status-file.adapter.js';

/** Dead peers are noticed within these, milliseconds. */
const keepalive = { 'grpc.keepalive_time_ms': 10_000, 'grpc.keepalive_timeout_ms': 5_000 };

export interface RunOptions {
  readonly directory: string;
  /** Aborted to stop: the transfer in hand is finished first. */
  readonly stop: AbortSignal;
  readonly emit: (event: DaemonEvent) => void;
  /** Give up when there is no connection for this long. */
  readonly timeoutMs?: number;
  readonly trainer?: Trainer;
}

/** Runs until stopped. Throws what ends an agent: AGENT_NOT_ENROLLED, AGENT_DIRECTORY_LOCKED, AGENT_REVOKED, PROTOCOL_VERSION, ... */
export async function runAgent(options: RunOptions): Promise<void> {
  const agent = await openAgentDirectory(options.directory);
  const lock = await lockDirectory(options.directory);
  const trainer = options.trainer ?? createTrainer(undefined, { engine: agent.config.training });
  try {
    await runLocked(agent, trainer, options);
  } finally {
    await trainer.close();
    await lock.release();
  }
}

async function runLocked(agent: EnrolledAgent, trainer: Trainer, options: RunOptions): Promise<void> {
  const nowMs = (): number => Date.now();
  const status = await openStatusFile(agent.paths.status, await firstStatus(agent, nowMs()), {
    nowMs,
    onError: (error) => process.stderr.write(`status.json cannot be written: ${messageOf(error)}\n`),
  });
  const emit = (event: DaemonEvent): void => {
    status.record(event);
    options.emit(event);
  };
  const summary = await summarise(agent, trainer, emit);
  const closed = new AbortController();
  const { connection, daemon } = assemble(agent, { ...options, trainer, emit, nowMs, summary, closed: closed.signal });
  await daemon.recover();
  let reason = 'asked to';
  const stop = (): void => {
    void daemon.stop().finally(() => closed.abort());
  };
  options.stop.addEventListener('abort', stop, { once: true });
  if (options.stop.aborted) stop();
  try {
    await connection.run();
  } catch (error) {
    reason = messageOf(error);
    throw error;
  } finally {
    options.stop.removeEventListener('abort', stop);
    await daemon.stop();
    emit({ event: 'stopped', reason });
    await status.flush();
  }
}

interface Assembly extends RunOptions {
  readonly trainer: Trainer;
  readonly nowMs: () => number;
  readonly summary: DataSummary | undefined;
  readonly closed: AbortSignal;
}

function assemble(agent: EnrolledAgent, options: Assembly): { connection: Connection; daemon: Daemon } {
  const { config, paths, tls } = agent;
  const { emit, nowMs, summary, trainer, closed } = options;
  const sentLog = openSentLog(paths.sentLog, nowMs);
  const outbox = openOutbox(paths.outbox);
  const secure = credentials.createSsl(tls.ca, tls.privateKey, tls.certificate);
  const hello = () => ({
    minProtocol: protocolRange.min,
    maxProtocol: protocolRange.max,
    agentVersion,
    clockMs: nowMs(),
    capabilities: {
      device: 'cpu',
      threads: availableParallelism(),
      trainingExamples: summary?.training ?? 0,
      heldOutExamples: summary?.heldOut ?? 0,
    },
  });
  const connection = new Connection({
    address: config.federation,
    open: () => federationClient(config.federation, secure, keepalive),
    hello,
    policy: config.reconnect,
    random: random(seedFrom(config.agentId, process.pid, nowMs())),
    signal: closed,
    ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
    nowMs,
    emit,
    onInstruction: (instruction) => daemon.onInstruction(instruction),
    onConnected: () => {
      const bytes = JSON.stringify(hello()).length;
      sentLog
        .append({ what: 'hello', to: config.federation, bytes, note: 'version, clock, counts of examples' })
        .catch((error: unknown) => emit({ event: 'log-problem', message: messageOf(error) }));
      daemon.onConnected();
    },
    transfersDone: () => daemon.transfersDone(),
  });
  const context: AgentContext = {
    ...agent,
    trainer,
    cache: openBlobCache(paths.blobs),
    outbox,
    sentLog,
    connection,
    nowMs,
    emit,
  };
  const daemon = new Daemon(context);
  return { connection, daemon };
}

/** Counts the examples. Without usable data the agent still runs: it can rehearse, install and predict. */
async function summarise(
  { places }: EnrolledAgent,
  trainer: Trainer,
  emit: (event: DaemonEvent) => void,
): Promise<DataSummary | undefined> {
  try {
    const summary = await trainer.call('summary', places);
    const { training, heldOut, skippedCount } = summary;
    emit({ event: 'data', training, heldOut, skipped: skippedCount });
    return summary;
  } catch (error) {
    const code = error instanceof GraftError ? error.code : 'INTERNAL';
    emit({ event: 'data-problem', code, message: messageOf(error) });
    return undefined;
  }
}

async function firstStatus({ config, paths }: EnrolledAgent, atMs: number): Promise<AgentStatus> {
  const release = (await currentRelease(paths.releases))?.manifest;
  return {
    pid: process.pid,
    version: agentVersion,
    agentId: config.agentId,
    agentName: config.agentName,
    server: config.federation,
    state: 'connecting',
    sinceMs: atMs,
    startedAtMs: atMs,
    jobs: [],
    rounds: [],
    ...(release === undefined
      ? {}
      : { release: { id: release.id, run: release.runId, round: release.round, precision: release.precision } }),
  };
}
