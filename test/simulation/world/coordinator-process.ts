/**
 * One life of the coordinator: the real engine and hub on virtual ports. When it dies nothing that it set going goes on,
 * but for a write that was on its way to the database; when it freezes, everything of it waits.
 */
import { grants } from '../../../coordinator/src/federation/grants.js';
import { createHub, type Hub } from '../../../coordinator/src/federation/hub.js';
import { createRounds } from '../../../coordinator/src/rounds/create-rounds.driver.js';
import type { Rounds } from '../../../coordinator/src/rounds/rounds.js';
import { silentLog } from '../../../coordinator/src/server/log.js';
import { storePort } from './store-port.js';
import { readVirtually } from './signature.js';
import { masterKey } from './tasks.js';
import { virtualAggregator, virtualWork } from './work.js';
import type { World } from './world.js';

export interface CoordinatorProcess {
  readonly name: string;
  readonly rounds: Rounds;
  readonly hub: Hub;
  isAlive(): boolean;
  /** Since when no stream was opened or closed, and no call of the store failed. */
  quietSinceMs(): number;
  disturbed(): void;
  /** True once it has taken over its runs and lets agents in. */
  isOpen(): boolean;
  /** Runs in this process: not at all once it is dead, later while it is frozen. Answers a cancel. */
  after(delayMs: number, label: string, run: () => void | Promise<void>): () => void;
  /** A piece of work in a worker of this process; rejects where an operation lets it fail. */
  work<T>(name: string, longestMs: number, run: () => T): Promise<T>;
  die(): void;
  freeze(untilMs: number): void;
  /** Takes over its runs, then lets agents in; rejects where the store fails. */
  begin(): Promise<void>;
}

export function createProcess(world: World, name: string, onDeath: () => void): CoordinatorProcess {
  const { scheduler, chance, faults } = world;
  let alive = true;
  let open = false;
  let frozenUntilMs = -Infinity;
  let quietSinceMs = scheduler.nowMs();

  function after(delayMs: number, label: string, run: () => void | Promise<void>): () => void {
    let cancelled = false;
    const attempt = (): void | Promise<void> => {
      if (!alive || cancelled) return undefined;
      const left = frozenUntilMs - scheduler.nowMs();
      if (left <= 0) return run();
      scheduler.after(left, `${name} ${label} after the freeze`, attempt);
      return undefined;
    };
    const cancel = scheduler.after(delayMs, `${name} ${label}`, attempt);
    return () => {
      cancelled = true;
      cancel();
    };
  }

  function work<T>(label: string, longestMs: number, run: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      after(1 + chance.below(longestMs), label, () => {
        try {
          if (faults.takeWorkFailure(label)) throw new Error(`the simulation lets ${label} fail`);
          const writes = label === 'fold' || label === 'quantize';
          if (writes && faults.diskIsFull(scheduler.nowMs())) throw new Error('ENOSPC: no space left on device');
          resolve(run());
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  const ownWorld: CoordinatorProcess = {
    name,
    get rounds() {
      return rounds;
    },
    get hub() {
      return hub;
    },
    isAlive: () => alive,
    quietSinceMs: () => Math.max(quietSinceMs, frozenUntilMs),
    disturbed: () => (quietSinceMs = scheduler.nowMs()),
    isOpen: () => alive && open && frozenUntilMs <= scheduler.nowMs(),
    after,
    work,
    die: () => {
      if (!alive) return;
      alive = false;
      world.trace.add(`${name} dies`);
      onDeath();
    },
    freeze: (untilMs) => (frozenUntilMs = Math.max(frozenUntilMs, untilMs)),
    begin: async () => {
      await rounds.resume();
      ownWorld.disturbed();
      open = true;
    },
  };
  const store = storePort(world, ownWorld);
  const hub: Hub = createHub({
    unsettled: async (agentId) => store.unsettled(agentId),
    connected: async (agentId, paused) => {
      ownWorld.disturbed();
      await (paused === '' ? rounds.agentConnected(agentId) : rounds.agentPaused(agentId, paused));
    },
    lost: async (agentId) => {
      ownWorld.disturbed();
      await rounds.agentLost(agentId);
    },
    paused: async (agentId, reason) =>
      reason === '' ? rounds.agentConnected(agentId) : rounds.agentPaused(agentId, reason),
    grants: grants(),
    log: silentLog,
  });
  const rounds: Rounds = createRounds({
    store,
    hub,
    blobs: { has: async (hash) => world.blobs.sizeOf(hash) },
    aggregator: virtualAggregator(world, ownWorld),
    work: virtualWork(world, ownWorld),
    masterKey,
    readManifest: readVirtually,
    newRunId: () => world.newRunId(),
    clock: { nowMs: () => scheduler.nowMs() + world.skewMs() },
    timers: { after: (ms, run) => after(ms, 'timer', run) },
    logger: silentLog,
    settings: world.config.settings,
  });
  return ownWorld;
}
