/** The engine of rounds with its workers, and the hub through which it speaks to agents. */
import type { Kysely } from 'kysely';

import type { Clock } from '@graft/core/clock';
import { roundTraceparent } from '@graft/protos/trace/round-trace.adapter';
import { errorCatalogue, GraftError, type ErrorCode } from '@graft/core/error';

import type { BlobStore } from '../blobs/blob-store.js';
import type { WorkerFiles } from '../blobs/worker-files.js';
import type { ModelWork } from '../compute/model-work.js';
import { startWorkers } from '../compute/workers.driver.js';
import { grants, type Grants } from '../federation/grants.js';
import { createHub, type Hub, type Online } from '../federation/hub.js';
import { unsettledInstructions } from '../federation/instructions.repository.js';
import { transferMeter, type TransferMeter } from '../federation/transfer-meter.js';
import { notifyStep } from '../replicas/notify.repository.js';
import { createRounds } from '../rounds/create-rounds.driver.js';
import { engineStore } from '../rounds/engine-store.repository.js';
import type { Rounds } from '../rounds/rounds.js';
import type { Database } from '../store/schema.js';
import { observedCompute } from '../system/observed/calls.adapter.js';
import { observedEngineStore } from '../system/observed/engine-store.js';
import type { Telemetry } from '../system/telemetry.js';
import type { CoordinatorKeys } from './keys.adapter.js';
import type { Log } from './log.js';
import type { Replica } from './replica.driver.js';
import { latestInstructions } from '../transfers/deltas.repository.js';
import { systemTimers } from './timers.adapter.js';

export interface EngineOptions {
  readonly db: Kysely<Database>;
  readonly blobs: BlobStore;
  readonly files: WorkerFiles;
  readonly keys: CoordinatorKeys;
  readonly clock: Clock;
  readonly log: Log;
  readonly telemetry: Telemetry;
  /** Absent where this coordinator is alone on its database. */
  readonly replica?: Replica | undefined;
}

export interface Engine {
  readonly rounds: Rounds;
  readonly hub: Hub;
  readonly grants: Grants;
  readonly meter: TransferMeter;
  readonly work: ModelWork;
  /** Agents with a stream, at any replica. */
  online(): ReadonlyMap<string, Online>;
  /** What is known of an agent has changed: the runs are told, wherever its stream is. */
  changed(agentId: string): Promise<void>;
  /** An agent says whether it takes work, to whichever replica; empty where it does. */
  paused(agentId: string, reason: string): Promise<void>;
  /** Ends the stream of an agent, wherever it is. */
  disconnect(agentId: string, error: GraftError): void;
  /** Gives the runs to the other replicas, where there are any. */
  handOver(): Promise<void>;
}

/** Takes over the runs of a coordinator that died, and goes on with them. */
export async function startEngine(options: EngineOptions): Promise<Engine> {
  const { db, blobs, files, keys, log, telemetry, replica } = options;
  const clock = replica?.clock ?? options.clock;
  const granted = grants(latestInstructions(db));
  const meter = transferMeter();
  const workers = startWorkers(files, log);
  const work = observedCompute(workers.work, telemetry);
  const hub = createHub({
    unsettled: unsettledInstructions(db),
    connected: async (agentId, paused) =>
      paused === '' ? rounds.agentConnected(agentId) : rounds.agentPaused(agentId, paused),
    lost: async (agentId) => rounds.agentLost(agentId),
    paused: async (agentId, reason) =>
      reason === '' ? rounds.agentConnected(agentId) : rounds.agentPaused(agentId, reason),
    grants: granted,
    log,
  });
  const store = observedEngineStore(
    engineStore(db, {
      owner: keys.instanceId,
      identity: keys.identity,
      masterKey: keys.masterKey,
      clock,
      ...(replica && { leaseMs: replica.times.leaseMs, announce: notifyStep }),
    }),
    { telemetry, log, traceparentOf: roundTraceparent },
  );
  const joined = replica?.join({ hub, meter, sums: workers.sums, store });
  const others = joined?.others;
  const rounds: Rounds = createRounds({
    store,
    blobs,
    hub,
    aggregator: observedCompute(workers.aggregator, telemetry),
    work,
    meter: others?.meter ?? meter,
    ...(joined && { elsewhere: joined.others, folds: joined.folds }),
    masterKey: keys.masterKey,
    clock,
    timers: systemTimers,
    logger: log,
  });
  try {
    await rounds.resume();
  } catch (error) {
    await rounds.shutdown();
    throw error;
  }
  replica?.signals.on('disconnect', ({ agentId, code, message }) => hub.disconnect(agentId, errorOf(code, message)));
  replica?.signals.on('pause', ({ agentId, reason }) => {
    hub.paused(agentId, reason).catch((error: unknown) => log.warn({ agentId, err: error }, 'a pause was not noted'));
  });
  return {
    rounds,
    hub,
    grants: granted,
    meter,
    work,
    online: () => (others === undefined ? hub.online() : everywhere(hub.online(), others.known)),
    changed: async (agentId) => {
      const here = hub.online().get(agentId);
      if (here === undefined) replica?.signals.send('presence', { agentIds: [agentId] });
      else if (here.paused === '') await rounds.agentConnected(agentId);
    },
    paused: async (agentId, reason) => {
      if (hub.online().has(agentId)) await hub.paused(agentId, reason);
      else replica?.signals.send('pause', { agentId, reason });
    },
    disconnect: (agentId, error) => {
      hub.disconnect(agentId, error);
      replica?.signals.send('disconnect', { agentId, code: error.code, message: error.message });
    },
    handOver: async () => others?.handOver(),
  };
}

/** What another replica holds a stream of takes work, as far as is known here. */
function everywhere(here: ReadonlyMap<string, Online>, known: ReadonlySet<string>): ReadonlyMap<string, Online> {
  return new Map([...[...known].map((id) => [id, { paused: '' }] as const), ...here]);
}

function errorOf(code: string, message: string): GraftError {
  return new GraftError(code in errorCatalogue ? (code as ErrorCode) : 'CANCELLED', message);
}
