/** What the admin API calls, put together. */
import { setTimeout as sleep } from 'node:timers/promises';

import { sql } from 'kysely';

import { GraftError } from '@graft/core/error';
import { protocolRange } from '@graft/protos/version';

import type { ApiKeys } from '../access/api-keys.repository.js';
import { agentsRepository } from '../agents/agents.repository.js';
import type { Services } from '../api/services.js';
import { apiBlobs } from '../blobs-api/api-blobs.js';
import { tokensRepository } from '../enrolment/tokens.repository.js';
import { eventFeed, type EventFeedTimes } from '../events/event-feed.js';
import { storedEvents } from '../events/events.repository.js';
import { modelsRepository } from '../models/models.repository.js';
import { onnxExporter } from '../releases/export-onnx.driver.js';
import { releasesRepository } from '../releases/releases.repository.js';
import { runsRepository } from '../runs/runs.repository.js';
import type { EventLoopDelay } from '../system/event-loop.adapter.js';
import type { Metrics, SystemReport } from '../system/system.js';
import { tasksRepository } from '../tasks/tasks.repository.js';
import type { Engine, EngineOptions } from './engine.driver.js';
import type { Replica } from './replica.driver.js';
import type { Upkeep } from '../upkeep/upkeep.js';
import { version } from './version.js';

export interface ServicesOptions extends Pick<EngineOptions, 'db' | 'blobs' | 'files' | 'clock' | 'log' | 'replica'> {
  readonly engine: Engine;
  readonly accessKeys: ApiKeys;
  readonly upkeep: Upkeep;
  readonly eventLoop: EventLoopDelay;
  readonly metrics: Metrics;
  readonly startedAtMs: number;
  readonly doors: { readonly grpcAddress: string; readonly enrolAddress: string };
  readonly caFingerprint: string;
  /** False while the coordinator stops. */
  readonly isReady: () => boolean;
}

export function createServices(options: ServicesOptions): Services {
  const { db, blobs, clock, log, engine, doors, caFingerprint, isReady } = options;
  const { rounds } = engine;
  const models = modelsRepository(db, blobs, clock);
  return {
    agents: agentsRepository({
      db,
      online: () => engine.online(),
      activity: () => rounds.activity(),
      changed: (agentId) => engine.changed(agentId),
      disconnect: (agentId, error) => engine.disconnect(agentId, error),
      clock,
    }),
    blobs: apiBlobs(blobs),
    keys: options.accessKeys,
    tokens: tokensRepository({ db, clock, server: () => doors.enrolAddress, fingerprint: caFingerprint }),
    events: eventFeed(
      { read: storedEvents(db), sleep: pauseUntilEvent(options.replica), log },
      feedTimes(options.replica),
    ),
    models,
    releases: releasesRepository(db, onnxExporter(options.files, log)),
    rounds,
    runs: runsRepository(db, clock),
    tasks: tasksRepository({ db, models, work: engine.work, blobs, clock }),
    health: {
      ready: async () => {
        if (!isReady()) throw new GraftError('UNAVAILABLE', 'the coordinator is stopping');
        await sql`select 1`.execute(db);
      },
    },
    upkeep: options.upkeep,
    metrics: options.metrics,
    system: () => systemReport(options),
  };
}

/** Where replicas signal events, the look without a signal may be rare. */
const feedTimes = (replica: Replica | undefined): EventFeedTimes => ({
  pollMs: replica === undefined ? 200 : 2_000,
  heartbeatMs: 15_000,
});

/** Pauses that end with the next event that a replica signals. */
function pauseUntilEvent(replica: Replica | undefined): typeof pause {
  if (replica === undefined) return pause;
  let next = new AbortController();
  replica.signals.on('event', () => {
    next.abort();
    next = new AbortController();
  });
  return async (ms, signal) => pause(ms, AbortSignal.any([signal, next.signal]));
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

function systemReport({ engine, eventLoop, startedAtMs, doors, caFingerprint, clock }: ServicesOptions): SystemReport {
  const { up, down } = engine.meter.total();
  return {
    version,
    protocol: { ...protocolRange },
    pid: process.pid,
    startedAtMs,
    uptimeMs: clock.nowMs() - startedAtMs,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    rssBytes: process.memoryUsage.rss(),
    eventLoopDelayP99Ms: eventLoop.p99Ms(),
    eventLoopDelayMaxMs: eventLoop.maxMs(),
    bytesUp: up,
    bytesDown: down,
    connectedAgents: engine.hub.online().size,
    ...doors,
    caFingerprint,
  };
}
