/** A coordinator from its configuration to its doors: each step may use the ones before, and is undone in the other order. */
import { mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';

import type { Logger } from 'pino';
import { ulid } from 'ulid';

import type { Clock } from '@graft/core/clock';
import { signAgentCertificate } from '@graft/protos/trust/authority.adapter';
import { fingerprint } from '@graft/protos/trust/fingerprint.adapter';

import { apiKeys } from '../access/api-keys.repository.js';
import { agentDirectory } from '../agents/agents.repository.js';
import { createApi } from '../api/api-app.module.js';
import { idempotency } from '../api/idempotency.adapter.js';
import { storedAnswers } from '../api/idempotency.repository.js';
import { openBlobs } from '../blobs/open-blobs.driver.js';
import type { Config } from '../config/config.js';
import { rateLimit } from '../enrolment/rate-limit.js';
import { tokenRedemption } from '../enrolment/tokens.repository.js';
import { openConfiguredStore } from '../store/open-configured.driver.js';
import { collectGauges } from '../system/collected/gauges.js';
import { storedMetrics } from '../system/collected/stored.repository.js';
import { eventLoopDelay } from '../system/event-loop.adapter.js';
import { observedBlobs } from '../system/observed/calls.adapter.js';
import { observedDatabase } from '../system/observed/database.repository.js';
import { openAgentDoors, openApiDoor, type AgentDoors } from './doors.driver.js';
import { startEngine, type Engine, type EngineOptions } from './engine.driver.js';
import { ensureFirstKey } from './first-key.adapter.js';
import { loadKeys } from './keys.adapter.js';
import { nestLogger } from './logger.adapter.js';
import { portsFor, rememberPorts } from './ports.adapter.js';
import { removeReadyFile, writeReadyFile, type Ready } from './ready-file.adapter.js';
import { openReplica } from './replica.driver.js';
import { createServices } from './services.driver.js';
import { openTelemetry } from './telemetry.driver.js';
import { startTransfers, type Transfers } from '../transfers/transfers.driver.js';
import { systemTimers } from './timers.adapter.js';
import { steerAgents } from '../steering/steer-agents.driver.js';
import { steering } from '../steering/steering.repository.js';
import { createUpkeep } from '../upkeep/create-upkeep.driver.js';
import { version } from './version.js';

export interface Coordinator {
  readonly ready: Ready;
  /** Tells the agents, lets what is in hand end, gives back the runs, closes the store. */
  stop(): Promise<void>;
}

/** How long calls in hand may go on once the coordinator is told to stop. */
const graceMs = 5_000;

/** When agents come back after a planned stop; each adds its own jitter. */
const reconnectAfterMs = 1_000;

/** 20 attempts from one address may fail at once; then one every 3 seconds. */
const enrolmentRate = { burst: 20, refillMs: 3_000, addresses: 10_000 };

const clock: Clock = { nowMs: () => Date.now() };

type Closers = (() => Promise<void>)[];

/** Starts everything, or leaves nothing behind. Throws DIRECTORY_LOCKED, PORT_IN_USE, KEYS_DAMAGED. */
export async function startCoordinator(config: Config, log: Logger): Promise<Coordinator> {
  const closers: Closers = [];
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  try {
    return { ready: await start(config, log, closers), stop: close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function start(asked: Config, log: Logger, closers: Closers): Promise<Ready> {
  const startedAtMs = clock.nowMs();
  const directory = resolve(asked.dir);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const store = await openConfiguredStore(directory, asked);
  closers.push(async () => store.close());
  const { telemetry, metrics, close: closeTelemetry } = await openTelemetry(asked, log);
  closers.push(closeTelemetry);
  const db = observedDatabase(store.db, telemetry);
  const keys = await loadKeys(directory, startedAtMs, asked.keys);
  const caFingerprint = fingerprint(keys.ca.certificatePem);

  const { files, shelf, place, ...opened } = await openBlobs(directory, asked);
  closers.push(async () => opened.close());
  const blobs = observedBlobs(opened.blobs, telemetry);
  const { db: url, leaseMs } = asked;
  const replica = url === undefined ? undefined : await openReplica({ db, url, keys, blobs, leaseMs, log });
  closers.push(async () => replica?.signals.close());
  const parts = { db, blobs, files, keys, clock, log, telemetry, replica };
  const engine = await startEngine(parts);
  closers.push(async () => engine.rounds.shutdown());

  const ports = await portsFor(directory, asked, log);
  const config = { ...asked, ...ports };
  const transfers = startTransfers({ ...parts, timers: systemTimers });
  closers.push(async () => transfers.close());
  const doors = await openDoors(config, parts, { ...engine, deltas: transfers.deltas });
  closers.push(async () => doors.close(graceMs));
  const { longestAwayMs } = asked;
  const steered = steerAgents({
    ...parts,
    ...engine,
    steering: steering(db),
    longestAwayMs,
    timers: systemTimers,
    logger: log,
  });
  closers.push(async () => steered.stop());
  const eventLoop = eventLoopDelay();
  closers.push(async () => eventLoop.close());
  const connected = (): string[] => [...engine.hub.online().keys()];
  const transferred = () => engine.meter.byAgent();
  collectGauges(telemetry, { stored: storedMetrics(store.db), connected, transferred, eventLoop, clock });
  let isReady = true;
  const accessKeys = apiKeys(db, clock);
  if (await ensureFirstKey(directory, accessKeys)) log.info({ directory }, 'the first API key is in admin.key');
  const upkeep = createUpkeep({ ...parts, shelf, directory, settings: asked, version, timers: systemTimers });
  closers.push(async () => upkeep.close());
  const services = createServices({
    ...parts,
    upkeep,
    accessKeys,
    engine,
    eventLoop,
    metrics,
    startedAtMs,
    doors,
    caFingerprint,
    isReady: () => isReady,
  });
  const app = await createApi({
    services,
    callerOf: async (key) => accessKeys.callerOf(key),
    idempotency: idempotency(storedAnswers(db), clock, log),
    log,
    telemetry,
    nestLog: nestLogger(log),
    version,
  });
  closers.push(async () => app.close());
  const apiUrl = await openApiDoor(app, config);

  const { grpcAddress, enrolAddress } = doors;
  const ready = { pid: process.pid, apiUrl, grpcAddress, enrolAddress, caFingerprint };
  await rememberPorts(directory, {
    apiPort: portOf(apiUrl),
    ...doors.ports,
  });
  await writeReadyFile(directory, ready);
  closers.push(async () => {
    isReady = false;
    await removeReadyFile(directory);
    await engine.handOver();
    await engine.hub.drain(reconnectAfterMs);
    services.events.close();
  });
  log.info({ ...ready, database: store.kind, blobs: place }, 'the coordinator is ready');
  return ready;
}

/** The ports that agents call. */
async function openDoors(
  config: Config,
  parts: EngineOptions,
  engine: Engine & Pick<Transfers, 'deltas'>,
): Promise<AgentDoors> {
  const { db, keys, blobs, log, telemetry } = parts;
  return openAgentDoors({
    config,
    keys,
    clock,
    telemetry,
    federation: { ...engine, agents: agentDirectory(db), blobs, clock, log, version },
    enrolment: {
      ...tokenRedemption(db),
      rateLimit: rateLimit(enrolmentRate),
      newId: () => ulid(clock.nowMs()),
      sign: async (csr, agentId, atMs) => signAgentCertificate(keys.ca, csr, { agentId, atMs }),
      caCertificate: keys.ca.certificatePem,
      identityKey: keys.identity.publicKey,
      log,
    },
  });
}

const portOf = (place: string): number => Number(/\d+$/u.exec(place)?.[0]);
