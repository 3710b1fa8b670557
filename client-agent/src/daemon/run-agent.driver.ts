/** Puts the daemon together from an agent's directory, and runs it until it is told to stop. */
import { availableParallelism } from 'node:os';

import { GraftError } from '@graft/core/error';
import { random, seedFrom } from '@graft/core/random';
import { federationClient } from '@graft/protos/clients.adapter';
import type * as wire from '@graft/protos/messages';
import { protocolRange } from '@graft/protos/version';
import { credentials } from '@grpc/grpc-js';

import { openAgentDirectory, type EnrolledAgent } from '../config/agent-directory.adapter.js';
import { lockDirectory } from '../config/directory-lock.adapter.js';
import type { DataSummary } from '../data/dataset.js';
import type { AgentContext } from '../jobs/agent-context.js';
import { messageOf } from '../output/output.js';
import { openMetrics } from '../metrics/metrics-server.adapter.js';
import { currentRelease } from '../releases/release-store.adapter.js';
import { createTrainer, type Trainer } from '../trainer/trainer-process.driver.js';
import { agentTransfers } from '../transfers/agent-transfers.adapter.js';
import { systemTime } from '../transfers/system-time.adapter.js';
import { agentVersion } from '../version.js';
import type { AgentStatus } from './agent-status.js';
import { openBlobCache } from './blob-cache.adapter.js';
import { Connection } from './connection.driver.js';
import { Daemon } from './daemon.driver.js';
import { describeDrained } from './drained.js';
import type { DaemonEvent } from './daemon-events.js';
import { openOutbox } from './outbox.adapter.js';
import { openSentLog } from './sent-log.adapter.js';
import { watchBrake } from './site-brake.driver.js';
import { SiteState } from './site-state.driver.js';
import { openStatusFile } from './status-file.adapter.js';
import { trainerPool } from './trainer-pool.driver.js';

export interface RunOptions {
  readonly directory: string;
  /** Aborted to stop now: the work in hand is left with its checkpoint, the transfer in hand is finished first. */
  readonly stop: AbortSignal;
  /** Aborted to stop once the work in hand is done, or agent.yaml's `stopLimitMs` is over. */
  readonly drain?: AbortSignal;
  readonly emit: (event: DaemonEvent) => void;
  /** Give up when there is no connection for this long. */
  readonly timeoutMs?: number;
  readonly trainer?: Trainer;
}

/** Runs until stopped. Throws what ends an agent: AGENT_NOT_ENROLLED, AGENT_DIRECTORY_LOCKED, AGENT_REVOKED, PROTOCOL_VERSION, ... */
export async function runAgent(options: RunOptions): Promise<void> {
  const agent = await openAgentDirectory(options.directory);
  const lock = await lockDirectory(options.directory);
  const { training, parallelJobs } = agent.config;
  const trainer = options.trainer ?? trainerPool(parallelJobs, () => createTrainer(undefined, { engine: training }));
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
  const metrics = await openMetrics(agent.config.metrics?.address);
  const emit = (event: DaemonEvent): void => {
    status.record(event);
    metrics.record(event);
    options.emit(event);
  };
  const summary = await summarise(agent, trainer, emit);
  const closed = new AbortController();
  const parts = assemble(agent, { ...options, trainer, emit, nowMs, summary, closed: closed.signal });
  const { connection, daemon, site } = parts;
  await daemon.recover();
  let reason = 'asked to';
  const end = endOf(daemon, { close: () => closed.abort(), say: (said) => (reason = said) });
  const brake = await watchBrake({
    paths: agent.paths,
    hours: agent.config.hours,
    nowMs,
    onPause: (pause) => {
      daemon.setPaused(pause !== undefined);
      void site.setPause(pause);
    },
    onDrain: ({ limitMs }) => end.drain(limitMs),
  });
  const unhook = onAbort(options.stop, () => end.stop());
  const unhookDrain = onAbort(options.drain, () => end.drain(agent.config.stopLimitMs));
  if (summary !== undefined) void nameDevice(site, agent, trainer);
  try {
    await connection.run();
  } catch (error) {
    reason = messageOf(error);
    throw error;
  } finally {
    unhook();
    unhookDrain();
    brake.close();
    await daemon.stop();
    await metrics.close();
    emit({ event: 'stopped', reason });
    await status.flush();
  }
}

interface Ending {
  drain(limitMs: number): void;
  stop(): void;
}

/** The two ways to end; the second overtakes the first. */
function endOf(
  daemon: Daemon,
  { close, say }: { readonly close: () => void; readonly say: (reason: string) => void },
): Ending {
  let draining = false;
  return {
    drain: (limitMs) => {
      if (draining) return;
      draining = true;
      void daemon
        .drain(limitMs)
        .then((drained) => say(describeDrained(drained)))
        .finally(close);
    },
    stop: () => void daemon.stop().finally(close),
  };
}

function onAbort(signal: AbortSignal | undefined, act: () => void): () => void {
  if (signal === undefined) return () => undefined;
  signal.addEventListener('abort', act, { once: true });
  if (signal.aborted) act();
  return () => signal.removeEventListener('abort', act);
}

interface Assembly extends RunOptions {
  readonly trainer: Trainer;
  readonly nowMs: () => number;
  readonly summary: DataSummary | undefined;
  readonly closed: AbortSignal;
}

interface Parts {
  readonly connection: Connection;
  readonly daemon: Daemon;
  readonly site: SiteState;
}

function assemble(agent: EnrolledAgent, options: Assembly): Parts {
  const { config, paths, tls } = agent;
  const { emit, nowMs, summary, trainer, closed } = options;
  const sentLog = openSentLog(paths.sentLog, nowMs);
  const secure = credentials.createSsl(tls.ca, tls.privateKey, tls.certificate);
  const site: SiteState = new SiteState({
    config,
    threads: availableParallelism(),
    summary,
    sentLog,
    connection: () => connection,
    emit,
  });
  let helloBytes = 0;
  const hello = (): wire.ConnectRequest => {
    const request = {
      minProtocol: protocolRange.min,
      maxProtocol: protocolRange.max,
      agentVersion,
      clockMs: nowMs(),
      ...site.hello(),
    };
    helloBytes = JSON.stringify(request).length;
    return request;
  };
  const keepalive = {
    'grpc.keepalive_time_ms': config.keepalive.intervalMs,
    'grpc.keepalive_timeout_ms': config.keepalive.timeoutMs,
  };
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
      sentLog
        .append({ what: 'hello', to: config.federation, bytes: helloBytes, note: 'version, clock, counts of examples' })
        .catch((error: unknown) => emit({ event: 'log-problem', message: messageOf(error) }));
      void site.onConnected();
      daemon.onConnected();
    },
    transfersDone: () => daemon.transfersDone(),
    isIdle: () => daemon.isIdle(),
  });
  const cache = openBlobCache(paths.blobs);
  const context: AgentContext = {
    ...agent,
    trainer,
    cache,
    transfers: agentTransfers({ cache, settings: config.transfers, time: systemTime }),
    outbox: openOutbox(paths.outbox),
    sentLog,
    connection,
    site,
    nowMs,
    emit,
  };
  const daemon = new Daemon(context);
  return { connection, daemon, site };
}

/** Has the trainer say what it trains on. A site where that fails hears why from its first training. */
async function nameDevice(site: SiteState, { config }: EnrolledAgent, trainer: Trainer): Promise<void> {
  if (config.training.device === 'cpu') return;
  try {
    const { device, about } = await trainer.call('runtime', null);
    await site.setDevice(device, about);
  } catch (error) {
    await site.setDevice('cpu', `cannot be told: ${messageOf(error)}`);
  }
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
    queue: [],
    rounds: [],
    ...(release === undefined
      ? {}
      : { release: { id: release.id, run: release.runId, round: release.round, precision: release.precision } }),
  };
}
