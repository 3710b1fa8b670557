/** The engine: owns the runs whose leases this process holds, and turns what server and agents say into their events. */
import type { Clock, Timers } from '@graft/core/clock';
import { GraftError } from '@graft/core/error';
import { readManifest } from '@graft/protos/sealed/admit-manifest.adapter';
import { ulid } from 'ulid';

import type { BlobStore } from '../blobs/blob-store.js';
import type { Aggregator } from '../compute/aggregation.js';
import type { ModelWork } from '../compute/model-work.js';
import { activityLog } from './activity.js';
import { performEffect } from './effects.driver.js';
import type { EngineStore, OwnedRun } from './engine-store.js';
import { newRun } from './machine/machine.js';
import type { StoredRun } from './material.js';
import {
  receiveEvaluation,
  receiveFailure,
  receiveInstalled,
  receiveUpdate,
  type ReportDependencies,
} from './reports.driver.js';
import type { Heartbeat, InstructionHub, Logger, Rounds } from './rounds.js';
import { ownRun, type MakeEvent, type RunOwner } from './run-owner.driver.js';
import { transferredSince, type TransferMeter } from './transferred.js';
import { defaultRunSettings, runPlan, type RunSettings } from './run-plan.js';

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
}

/** Leases last three times this; see EngineStore.renew. */
export const renewEveryMs = 10_000;
/** An agent whose progress stood still longer than this does not extend a deadline. */
const activeWithinMs = 30_000;

export function createRounds(dependencies: RoundsDependencies): Rounds {
  const { store, hub, clock, timers, logger } = dependencies;
  const settings = { ...defaultRunSettings, ...dependencies.settings };
  const newRunId = dependencies.newRunId ?? ulid;
  const owners = new Map<string, RunOwner>();
  const activity = activityLog();
  let cancelRenewal: (() => void) | undefined;

  const reports: ReportDependencies = {
    store,
    blobs: dependencies.blobs,
    aggregator: dependencies.aggregator,
    masterKey: dependencies.masterKey,
    readManifest: dependencies.readManifest ?? readManifest,
    owner: (runId) => owners.get(runId),
    owners: () => [...owners.values()],
  };

  function own(owned: OwnedRun): RunOwner {
    const { runId } = owned.lease;
    const owner = ownRun(owned, {
      store,
      transferred: transferredSince(dependencies.meter),
      perform: (effect, run) => performEffect(effect, run, dependencies),
      wake: (agentId) => hub.wake(agentId),
      active: () => activity.active(clock.nowMs(), activeWithinMs),
      onOver: (id) => {
        owners.delete(id);
        logger.info({ runId: id }, 'a run has left this coordinator');
        store.giveBack([owned.lease]).catch(logError(id, 'a lease could not be given back'));
      },
      clock,
      timers,
      logger,
    });
    owners.set(runId, owner);
    return owner;
  }

  function logError(runId: string, message: string): (error: unknown) => void {
    return (error) => logger.error({ runId, err: error }, message);
  }

  /** Tells every run. One that has ended meanwhile does not need to know. */
  async function tell(make: MakeEvent): Promise<void> {
    const told = [...owners.values()].map(async (owner) => {
      try {
        await owner.feed(make);
      } catch (error) {
        if (owners.get(owner.lease.runId) === owner) throw error;
      }
    });
    await Promise.all(told);
  }

  async function renew(): Promise<void> {
    const leases = [...owners.values()].map(({ lease }) => lease);
    if (leases.length === 0) return;
    for (const { runId } of await store.renew(leases)) {
      logger.warn({ runId }, 'another coordinator has taken over this run');
      owners.get(runId)?.retire();
      owners.delete(runId);
    }
  }

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
    const owner = own({ run, lease: await store.create(run) });
    await owner.feed(() => ({ kind: 'started', connected: hub.connected() }));
    logger.info({ runId: plan.runId, taskId, rounds: plan.rounds }, 'a run has started');
    return plan.runId;
  }

  async function resume(): Promise<void> {
    for (const owned of await store.claimAll()) {
      const { round, phase, plan } = owned.run.machine;
      logger.info({ runId: plan.runId, round, phase }, 'a run goes on');
      const owner = own(owned);
      await owner.feed(() => ({ kind: 'restarted', connected: hub.connected() }));
      await owner.resume();
    }
    if (cancelRenewal === undefined) renewLater();
  }

  /** The next one is set before this one begins: a renewal that hangs stops no other. */
  function renewLater(): void {
    cancelRenewal = timers.after(renewEveryMs, () => {
      renewLater();
      renew().catch(logError('', 'leases could not be renewed'));
    });
  }

  return {
    start,
    resume,
    stop: async (runId, reason) => {
      const owner = owners.get(runId);
      if (owner !== undefined) await owner.feed(() => ({ kind: 'stopRequested', reason }));
      else await checkNotOurs(runId);
    },
    reportUpdate: (agentId, manifest, signature) => receiveUpdate(agentId, { manifest, signature }, reports),
    reportFailure: (agentId, report) => receiveFailure(agentId, report, reports),
    reportEvaluation: (agentId, report) => receiveEvaluation(agentId, report, reports),
    reportInstalled: (agentId, report) => receiveInstalled(agentId, report, reports),
    agentConnected: (agentId) => tell(() => ({ kind: 'agentConnected', agentId })),
    agentLost: async (agentId) => {
      activity.forget(agentId);
      await tell(() => ({ kind: 'agentLost', agentId }));
    },
    progress: (agentId, heartbeat) => {
      activity.note(agentId, heartbeat, clock.nowMs());
      noteFirst(agentId, heartbeat);
    },
    activity: () => activity.all(),
    shutdown: async () => {
      cancelRenewal?.();
      await Promise.all([...owners.values()].map((owner) => owner.close()));
      const leases = [...owners.values()].map(({ lease }) => lease);
      owners.clear();
      await dependencies.aggregator.close();
      await dependencies.work.close();
      await store.giveBack(leases);
    },
  };

  /** A run that is over stays as it is. */
  async function checkNotOurs(runId: string): Promise<void> {
    const is = await store.runIs(runId);
    if (is === undefined) throw new GraftError('NOT_FOUND', `there is no run ${runId}`);
    if (is === 'open') throw new GraftError('UNAVAILABLE', `run ${runId} is in the hands of another coordinator`);
  }

  /** The first heartbeat of an agent in a round is an event; the others are only remembered. */
  function noteFirst(agentId: string, { runId, round }: Heartbeat): void {
    const owner = owners.get(runId);
    if (owner?.current().machine.members[agentId]?.state !== 'selected') return;
    owner
      .feed((state) =>
        state.members[agentId]?.state === 'selected' ? { kind: 'progressed', agentId, round } : undefined,
      )
      .catch(logError(runId, 'a heartbeat could not be noted'));
  }
}
