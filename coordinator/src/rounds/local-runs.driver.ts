/** The runs whose leases this process holds: each with the shell around its machine. */
import type { Clock, Timers } from '@graft/core/clock';
import { GraftError } from '@graft/core/error';

import type { ActivityLog } from './activity.js';
import { performEffect, type EffectDependencies } from './effects.driver.js';
import type { Elsewhere, LocalRuns } from './elsewhere.js';
import type { EngineStore, Lease, OwnedRun } from './engine-store.js';
import type { TraitsById } from './machine/event.js';
import type { Heartbeat, InstructionHub, Logger } from './rounds.js';
import { ownRun, type MakeEvent, type RunOwner, type Untimed } from './run-owner.driver.js';
import { tellOwner } from './run-doors.driver.js';
import type { SharedFolds } from './shared-folds.js';
import { transferredSince, type TransferMeter } from './transferred.js';

export interface LocalRunsDependencies extends Omit<EffectDependencies, 'store' | 'shared'> {
  readonly store: EngineStore;
  readonly hub: InstructionHub;
  readonly activity: ActivityLog;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly meter?: TransferMeter | undefined;
  readonly elsewhere?: Elsewhere | undefined;
  readonly folds?: SharedFolds | undefined;
}

/** An agent whose progress stood still longer than this does not extend a deadline. */
const activeWithinMs = 30_000;

export interface OwnRuns extends LocalRuns {
  readonly map: ReadonlyMap<string, RunOwner>;
  own(owned: OwnedRun): RunOwner;
  /** Tells every run that an agent is connected, and what is known of it. */
  tellConnected(agentId: string): Promise<void>;
  tellLost(agentId: string): Promise<void>;
  /** Agents with a stream: at any replica, where there are several. */
  connected(): Promise<readonly string[]>;
  /** Finishes the events in hand; answers the leases, to be given back. */
  closeAll(): Promise<readonly Lease[]>;
}

export function localRuns(dependencies: LocalRunsDependencies): OwnRuns {
  const { store, hub, clock, logger, activity, elsewhere, folds } = dependencies;
  const owners = new Map<string, RunOwner>();
  const arriving = new Map<string, symbol>();

  function own(owned: OwnedRun): RunOwner {
    const { runId } = owned.lease;
    const owner = ownRun(owned, {
      store,
      transferred: transferredSince(dependencies.meter),
      perform: (effect, run) =>
        performEffect(effect, run, { ...dependencies, shared: folds && { folds, lease: owned.lease } }),
      wake: (agentId) => hub.wake(agentId),
      restarted,
      active: () => activity.active(clock.nowMs(), activeWithinMs),
      onOver: (id) => {
        if (owners.get(id) === owner) owners.delete(id);
        logger.info({ runId: id }, 'a run has left this coordinator');
        store.giveBack([owned.lease]).catch(logError(id, 'a lease could not be given back'));
      },
      clock,
      timers: dependencies.timers,
      logger,
    });
    owners.set(runId, owner);
    return owner;
  }

  function logError(runId: string, message: string): (error: unknown) => void {
    return (error) => logger.error({ runId, err: error }, message);
  }

  /** Tells every run. One that has ended meanwhile does not need to know. */
  async function tellAll(make: MakeEvent): Promise<void> {
    await Promise.all([...owners.values()].map((owner) => tellIfHere(owner, make)));
  }

  async function tellIfHere(owner: RunOwner, make: MakeEvent): Promise<void> {
    try {
      await owner.feed(make);
    } catch (error) {
      if (owners.get(owner.lease.runId) === owner) throw error;
    }
  }

  const connected = async (): Promise<readonly string[]> => elsewhere?.connected() ?? hub.connected();

  async function restarted(): Promise<Untimed> {
    const here = await connected();
    return { kind: 'restarted', connected: here, traits: await store.traits(here) };
  }

  return {
    map: owners,
    own,
    tellConnected: async (agentId) => {
      const mine = Symbol(agentId);
      arriving.set(agentId, mine);
      const traits = await store.traits([agentId]);
      // It may have left again while the store was asked: that must not be told in the wrong order.
      if (arriving.get(agentId) !== mine) return;
      arriving.delete(agentId);
      await tellAll(connectedEvent(agentId, traits));
    },
    tellLost: async (agentId) => {
      arriving.delete(agentId);
      await tellAll(() => ({ kind: 'agentLost', agentId }));
    },
    tellPaused: async (agentId, reason) => {
      arriving.delete(agentId);
      await tellAll(() => ({ kind: 'agentPaused', agentId, reason }));
    },
    connected,
    owner: (runId) => owners.get(runId),
    owners: () => [...owners.values()],
    adopt: async (owned) => {
      const { round, phase, plan } = owned.run.machine;
      logger.info({ runId: plan.runId, round, phase }, 'a run goes on');
      const owner = own(owned);
      await owner.begin(restarted);
      await owner.resume();
    },
    letGo: async (runId) => {
      const owner = owners.get(runId);
      if (owner === undefined) return;
      await owner.close();
      if (owners.get(runId) === owner) owners.delete(runId);
      await store.giveBack([owner.lease]);
    },
    renew: async () => {
      const leases = [...owners.values()].map(({ lease }) => lease);
      if (leases.length === 0) return;
      for (const { runId, fence } of await store.renew(leases)) {
        const owner = owners.get(runId);
        if (owner?.lease.fence !== fence) continue;
        logger.warn({ runId }, 'another coordinator has taken over this run');
        owner.retire();
        owners.delete(runId);
      }
    },
    tell: (owner, message, inboxSeq) => tellOwner(owner, message, elsewhere, inboxSeq),
    heard: (agentId, heartbeat) => {
      activity.note(agentId, heartbeat, clock.nowMs());
      noteFirst(agentId, heartbeat);
    },
    present: async (there, among) => {
      await Promise.all([...owners.values()].map((owner) => bringUpToDate(owner, there, among)));
    },
    closeAll: async () => {
      const all = [...owners.values()];
      await Promise.all(all.map((owner) => owner.close()));
      owners.clear();
      return all.map(({ lease }) => lease);
    },
  };

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

  /** Tells one run of the agents that it sees otherwise than they are. */
  async function bringUpToDate(owner: RunOwner, there: ReadonlySet<string>, among?: readonly string[]): Promise<void> {
    const { agents } = owner.current().machine;
    const ids = [...(among ?? new Set([...Object.keys(agents), ...there]))];
    const isKnown = (agentId: string): boolean => agents[agentId]?.connected ?? false;
    // Who is named may have other traits than before.
    const here = ids.filter((id) => there.has(id) && (among !== undefined || !isKnown(id)));
    const traits = await store.traits(here);
    for (const agentId of here) await tellIfHere(owner, connectedEvent(agentId, traits));
    for (const agentId of ids.filter((id) => !there.has(id) && isKnown(id))) {
      await tellIfHere(owner, () => ({ kind: 'agentLost', agentId }));
    }
  }
}

function connectedEvent(agentId: string, { [agentId]: traits }: TraitsById): MakeEvent {
  return () => ({ kind: 'agentConnected', agentId, ...(traits && { traits }) });
}

/** A run that is over stays as it is. Throws NOT_FOUND for an unknown one, UNAVAILABLE for one that another coordinator has. */
export async function checkOver(runId: string, store: Pick<EngineStore, 'runIs'>): Promise<void> {
  const is = await store.runIs(runId);
  if (is === undefined) throw new GraftError('NOT_FOUND', `there is no run ${runId}`);
  if (is === 'open') throw new GraftError('UNAVAILABLE', `run ${runId} is in the hands of another coordinator`);
}
