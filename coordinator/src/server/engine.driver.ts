/** The engine of rounds with its workers, and the hub through which it speaks to agents. */
import type { Kysely } from 'kysely';

import type { Clock } from '@graft/core/clock';

import type { BlobStore } from '../blobs/blob-store.js';
import type { WorkerFiles } from '../blobs/worker-files.js';
import type { ModelWork } from '../compute/model-work.js';
import { startWorkers } from '../compute/workers.driver.js';
import { grants, type Grants } from '../federation/grants.js';
import { createHub, type Hub } from '../federation/hub.js';
import { unsettledInstructions } from '../federation/instructions.repository.js';
import { transferMeter, type TransferMeter } from '../federation/transfer-meter.js';
import { createRounds } from '../rounds/create-rounds.driver.js';
import { engineStore } from '../rounds/engine-store.repository.js';
import type { Rounds } from '../rounds/rounds.js';
import type { Database } from '../store/schema.js';
import { observedCompute } from '../system/observed/calls.adapter.js';
import { observedEngineStore } from '../system/observed/engine-store.js';
import type { Telemetry } from '../system/telemetry.js';
import { roundTraceparent } from '../system/traces/round-trace.adapter.js';
import type { CoordinatorKeys } from './keys.adapter.js';
import type { Log } from './log.js';
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
}

export interface Engine {
  readonly rounds: Rounds;
  readonly hub: Hub;
  readonly grants: Grants;
  readonly meter: TransferMeter;
  readonly work: ModelWork;
}

/** Takes over the runs of a coordinator that died, and goes on with them. */
export async function startEngine(options: EngineOptions): Promise<Engine> {
  const { db, blobs, files, keys, clock, log, telemetry } = options;
  const granted = grants(latestInstructions(db));
  const meter = transferMeter();
  const workers = startWorkers(files, log);
  const work = observedCompute(workers.work, telemetry);
  const hub = createHub({
    unsettled: unsettledInstructions(db),
    connected: async (agentId, paused) => {
      if (paused === '') await rounds.agentConnected(agentId);
    },
    lost: async (agentId) => rounds.agentLost(agentId),
    // A site that takes no work is no member of a round, whether its stream is open or not.
    paused: async (agentId, reason) => (reason === '' ? rounds.agentConnected(agentId) : rounds.agentLost(agentId)),
    grants: granted,
    log,
  });
  const rounds: Rounds = createRounds({
    store: observedEngineStore(
      engineStore(db, { owner: keys.instanceId, identity: keys.identity, masterKey: keys.masterKey, clock }),
      { telemetry, log, traceparentOf: roundTraceparent },
    ),
    blobs,
    hub,
    aggregator: observedCompute(workers.aggregator, telemetry),
    work,
    meter,
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
  return { rounds, hub, grants: granted, meter, work };
}
