/** The engine: owns the runs whose leases this process holds, and turns what server and agents say into their events. */
import type { Clock, Timers } from '@graft/core/clock';
import { GraftError } from '@graft/core/error';
import { readManifest } from '@graft/protos/sealed/admit-manifest.adapter';
import { ulid } from 'ulid';

import type { BlobStore } from '../blobs/blob-store.js';
import type { Aggregator } from '../compute/aggregation.js';
import type { ModelWork } from '../compute/model-work.js';
import { activityLog } from './activity.js';
import type { Elsewhere } from './elsewhere.js';
import { firstFence, type EngineStore, type Lease, type OwnedRun } from './engine-store.js';
import { checkOver, localRuns } from './local-runs.driver.js';
import { newRun } from './machine/machine.js';
import type { StoredRun } from './material.js';
import {
  receiveEvaluation,
  receiveFailure,
  receiveInstalled,
  receiveUpdate,
  type ReportDependencies,
} from './reports.driver.js';
import type { InstructionHub, Logger, Rounds } from './rounds.js';
import { runDoors } from './run-doors.driver.js';
import { defaultRunSettings, runPlan, type RunSettings } from './run-plan.js';
import type { SharedFolds } from './shared-folds.js';
import type { TransferMeter } from './transferred.js';

export interface RoundsDependencies {
  readonly store: EngineStore;
  readonly blobs: Pick<BlobStore, 'has'>;
  readonly hub: InstructionHub;
  readonly aggregator: Aggregator;
  readonly work: ModelWork;
  /** 32 bytes that seal the secret keys of rounds. */
  readonly masterKey: Uint8Array;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly settings?: Partial<RunSettings>;
  /** Checks an agent's signature, which takes long; a simulation has a check of its own. */
  readonly readManifest?: ReportDependencies['readManifest'];
  /** A ULID where it is not given. */
  readonly newRunId?: (atMs: number) => string;
  /** Bytes of blobs to and from each agent since the coordinator started; without it rounds count none. */
  readonly meter?: TransferMeter;
  /** The other coordinators on the same database; absent where this one is alone. */
  readonly elsewhere?: Elsewhere;
  /** Large folds that they take part in. */
  readonly folds?: SharedFolds;
}

/** A pause before it is asked again whether a new run is stored. */
const againMs = 1000;

/** Leases last three times this; see EngineStore.renew. */
export const renewEveryMs = 10_000;

export function createRounds(dependencies: RoundsDependencies): Rounds {
  const { store, clock, timers, logger, elsewhere } = dependencies;
  const settings = { ...defaultRunSettings, ...dependencies.settings };
  const newRunId = dependencies.newRunId ?? ulid;
  const activity = activityLog();
  const local = localRuns({ ...dependencies, activity });
  let cancelRenewal: (() => void) | undefined;
  const cancelBeginnings = new Map<string, () => void>();

  const runs = runDoors(local.map, elsewhere);
  const reports: ReportDependencies = {
    store,
    blobs: dependencies.blobs,
    aggregator: dependencies.aggregator,
    masterKey: dependencies.masterKey,
    readManifest: dependencies.readManifest ?? readManifest,
    runs,
  };

  async function start(taskId: string, options: { readonly rounds?: number; readonly seed: number }): Promise<string> {
    const task = await store.task(taskId);
    if (task === undefined) throw new GraftError('NOT_FOUND', `there is no task ${taskId}`);
    const model = task.kind === 'fit' ? await store.model(task.model) : undefined;
    if (task.kind === 'fit' && model === undefined) {
      throw new GraftError('NOT_FOUND', `task '${task.name}' needs model '${task.model}', which is not in the library`);
    }
    const { seed } = options;
    const prepared = await dependencies.work.prepare({ taskId, seed, task, ...(model && { model }) });
    const released = await store.lastRelease(taskId);
    const plan = runPlan(task, { ...options, taskId, runId: newRunId(clock.nowMs()) }, settings);
    const machine = newRun(plan, prepared.base, { atMs: clock.nowMs(), ...(released && { released }) });
    const run: StoredRun = { machine, material: prepared.material, transferred: { round: 1, agents: {} } };
    try {
      await begin({ run, lease: await store.create(run) });
    } catch (error) {
      beginLater(run);
      throw error;
    }
    logger.info({ runId: plan.runId, taskId, rounds: plan.rounds }, 'a run has started');
    return plan.runId;
  }

  async function begin(owned: OwnedRun): Promise<void> {
    await local.own(owned).begin(async () => {
      const connected = await local.connected();
      return { kind: 'started', connected, traits: await store.traits(connected) };
    });
  }

  /** A run whose creation got no answer may be stored all the same: then it is begun as soon as the store can say so. */
  function beginLater(run: StoredRun): void {
    const lease = { runId: run.machine.plan.runId, fence: firstFence };
    cancelBeginnings.set(
      lease.runId,
      timers.after(againMs, () => {
        cancelBeginnings.delete(lease.runId);
        // What is in hand already begins by itself.
        if (local.map.has(lease.runId)) return;
        beginStored(lease).catch((error: unknown) => {
          logger.error({ runId: lease.runId, err: error }, 'a run could not be begun, it is tried again');
          beginLater(run);
        });
      }),
    );
  }

  async function beginStored(lease: Lease): Promise<void> {
    try {
      await begin({ run: await store.load(lease), lease });
    } catch (error) {
      // It was not stored, or another has it.
      if (!(error instanceof GraftError) || error.code !== 'LEASE_LOST') throw error;
    }
  }

  async function resume(): Promise<void> {
    if (elsewhere !== undefined) return elsewhere.begin(local);
    for (const owned of await store.claimAll()) await local.adopt(owned);
    if (cancelRenewal === undefined) renewLater();
  }

  /** The next one is set before this one begins: a renewal that hangs stops no other. */
  function renewLater(): void {
    cancelRenewal = timers.after(renewEveryMs, () => {
      renewLater();
      local.renew().catch((error: unknown) => logger.error({ err: error }, 'leases could not be renewed'));
    });
  }

  return {
    start,
    resume,
    stop: async (runId, reason) => {
      const answer = (await runs.isOpen(runId)) ? await runs.tell(runId, 'stop', { kind: 'stop', reason }) : undefined;
      if (answer === undefined) await checkOver(runId, store);
    },
    reportUpdate: (agentId, manifest, signature) => receiveUpdate(agentId, { manifest, signature }, reports),
    reportFailure: (agentId, report) => receiveFailure(agentId, report, reports),
    reportEvaluation: (agentId, report) => receiveEvaluation(agentId, report, reports),
    reportInstalled: (agentId, report) => receiveInstalled(agentId, report, reports),
    agentConnected: async (agentId) => elsewhere?.agentConnected(agentId) ?? local.tellConnected(agentId),
    agentLost: async (agentId) => {
      activity.forget(agentId);
      await (elsewhere?.agentLost(agentId) ?? local.tellLost(agentId));
    },
    agentPaused: async (agentId, reason) =>
      elsewhere?.agentPaused(agentId, reason) ?? local.tellPaused(agentId, reason),
    progress: (agentId, heartbeat) => {
      local.heard(agentId, heartbeat);
      elsewhere?.progress(agentId, heartbeat);
    },
    activity: () => activity.all(),
    shutdown: async () => {
      cancelRenewal?.();
      for (const cancel of cancelBeginnings.values()) cancel();
      await elsewhere?.end();
      const leases = await local.closeAll();
      await dependencies.aggregator.close();
      await dependencies.work.close();
      await store.giveBack(leases);
    },
  };
}
