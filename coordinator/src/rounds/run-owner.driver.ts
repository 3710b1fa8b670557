/**
 * The shell around one run's machine, held by the process that has the run's lease. Events are handled one after another:
 * step, store state and effects in one transaction, and only then act. What is killed in between does the acting again
 * from the outbox; what loses its lease stops at once, because its next transaction is refused.
 */
import type { Clock, Timers } from '@graft/core/clock';
import { GraftError } from '@graft/core/error';

import type { EngineStore, EventContext, Lease, OutboxRow, OwnedRun } from './engine-store.js';
import type { OutboxEffect, Step } from './machine/effect.js';
import type { RunEvent } from './machine/event.js';
import { step, wakeAtMs } from './machine/machine.js';
import type { Transferred } from './machine/record.js';
import { isOpen, type RunState } from './machine/state.js';
import type { StoredRun } from './material.js';
import type { Logger } from './rounds.js';

/** An event before its time is known: the owner's clock gives it when its turn comes. */
export type Untimed = RunEvent extends infer E ? (E extends RunEvent ? Omit<E, 'atMs'> : never) : never;

/** Says what happened, in view of the state that it meets; undefined means nothing. */
export type MakeEvent = (state: RunState) => Untimed | undefined;

export interface OwnerDependencies {
  readonly store: Pick<EngineStore, 'save' | 'load' | 'undone'>;
  /** Performs one effect and answers the event that it results in. */
  perform(effect: OutboxEffect, run: StoredRun): Promise<Untimed>;
  wake(agentId: string): void;
  /** Bytes of blobs that passed since it was asked last. */
  transferred(): Transferred;
  /** As after a restart: which agents are connected now. */
  restarted(): Promise<Untimed>;
  /** Agents that made progress lately. */
  active(): readonly string[];
  /** Called once, when the run is over or lost. */
  onOver(runId: string): void;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
}

export interface RunOwner {
  readonly lease: Lease;
  current(): StoredRun;
  /** Handles one event in its turn; undefined where `make` had nothing to say. Rejects where it could not be stored. */
  feed(make: MakeEvent, context?: EventContext): Promise<Step | undefined>;
  /** Handles an event that takes a while to make: what is fed meanwhile comes after it. Where it cannot be made, the run is read again. */
  begin(make: () => Promise<Untimed>): Promise<void>;
  /** Performs what a predecessor left undone, and sets the timer. */
  resume(): Promise<void>;
  /** Stops without another write: the lease is lost. */
  retire(): void;
  /** Ends after the events in hand. */
  close(): Promise<void>;
}

/** Timers hold 31 bits of milliseconds at most. */
const longestTimerMs = 2 ** 31 - 1;
/** A pause before a result that could not be stored, or a deadline that changed nothing, comes again. */
const againMs = 1000;

export function ownRun({ run: first, lease }: OwnedRun, dependencies: OwnerDependencies): RunOwner {
  const { store, clock, timers, logger } = dependencies;
  const { runId } = lease;
  let run = first;
  let closed = false;
  let turn: Promise<unknown> = Promise.resolve();
  let cancelTimer = (): void => undefined;
  /** A save failed and may have been stored all the same: what is in memory is not to be built on. */
  let uncertain = false;
  /** Outbox rows that are being performed here. */
  const inHand = new Set<number>();

  function feed(make: MakeEvent, context: EventContext = {}): Promise<Step | undefined> {
    const mine = turn.then(() => handle(make, context));
    turn = mine.catch(() => undefined);
    return mine;
  }

  function begin(make: () => Promise<Untimed>): Promise<void> {
    const mine = turn.then(() => handleMade(make));
    turn = mine.catch(() => undefined);
    return mine;
  }

  async function handleMade(make: () => Promise<Untimed>): Promise<void> {
    try {
      const event = await make();
      await handle(() => event, {});
    } catch (error) {
      uncertain = true;
      recoverLater();
      throw error;
    }
  }

  async function handle(make: MakeEvent, context: EventContext): Promise<Step | undefined> {
    if (closed) throw new GraftError('UNAVAILABLE', `run ${runId} is not in this coordinator's hands any more`);
    if (uncertain) await reload();
    // Its result was stored with the end of the run: there is nothing left to write.
    if (closed && context.doneSeq !== undefined) return undefined;
    const untimed = make(run.machine);
    if (untimed === undefined) return undefined;
    const result = step(run.machine, { ...untimed, atMs: clock.nowMs() });
    if (untimed.kind === 'progressed' && context.doneSeq === undefined) {
      // That an agent has begun is good to know and no loss: the next event stores it, ten agents cost no ten transactions.
      run = { ...run, machine: result.state };
      return result;
    }
    const changed = result.effects.length > 0 || !isSame(result.state, run.machine);
    const isAwaited = context.doneSeq !== undefined || context.inboxSeq !== undefined;
    if (changed || isAwaited) await persist(result, context);
    return result;
  }

  async function persist(result: Step, context: EventContext): Promise<void> {
    try {
      const saved = await store.save(lease, run, result, { ...context, transferred: dependencies.transferred() });
      run = saved.run;
      for (const agentId of saved.wake) dependencies.wake(agentId);
      for (const row of saved.outbox) void act(row);
    } catch (error) {
      uncertain = true;
      stopIfLost(error);
      recoverLater();
      throw error;
    }
    arm(0);
    if (!isOpen(run.machine)) over();
  }

  /** Looks at what is stored even where nothing else happens: it may ask for work. */
  function recoverLater(): void {
    cancelTimer();
    if (!closed) cancelTimer = timers.after(againMs, () => void recover());
  }

  async function recover(): Promise<void> {
    try {
      await feed(() => undefined);
      arm(0);
    } catch (error) {
      if (closed) return;
      logger.error({ runId, err: error }, 'the run could not be read again, it is tried again');
      recoverLater();
    }
  }

  /** Starts again from what is stored, as after a restart: who came and went while nothing could be stored is not in there. */
  async function reload(): Promise<void> {
    try {
      run = await store.load(lease);
      await performUndone();
      const event = isOpen(run.machine) ? await dependencies.restarted() : undefined;
      uncertain = false;
      if (event === undefined) over();
      else await persist(step(run.machine, { ...event, atMs: clock.nowMs() }), {});
    } catch (error) {
      stopIfLost(error);
      throw error;
    }
    for (const agentId of Object.keys(run.machine.members)) dependencies.wake(agentId);
  }

  async function performUndone(): Promise<void> {
    for (const row of await store.undone(runId)) if (!inHand.has(row.seq)) void act(row);
  }

  function stopIfLost(error: unknown): void {
    if (!(error instanceof GraftError) || error.code !== 'LEASE_LOST') return;
    logger.warn({ runId }, error.message);
    over();
  }

  /** @param leastMs not sooner than this */
  function arm(leastMs: number): void {
    cancelTimer();
    const dueAtMs = wakeAtMs(run.machine);
    if (closed || dueAtMs === undefined) return;
    const afterMs = Math.min(longestTimerMs, Math.max(leastMs, dueAtMs - clock.nowMs()));
    cancelTimer = timers.after(afterMs, () => void passTime());
  }

  async function passTime(): Promise<void> {
    try {
      const result = await feed(() => ({ kind: 'timePassed', active: dependencies.active() }));
      // A deadline that changed the state has set the timer already.
      if (result !== undefined && result.state !== run.machine) arm(againMs);
    } catch (error) {
      if (closed) return;
      logger.error({ runId, err: error }, 'a deadline could not be handled, it comes again');
      recoverLater();
    }
  }

  async function act({ seq, effect }: OutboxRow): Promise<void> {
    inHand.add(seq);
    let result: Untimed;
    try {
      result = await dependencies.perform(effect, run);
    } catch (error) {
      if (closed) return;
      logger.error({ runId, round: effect.round, effect: effect.kind, err: error }, 'an effect failed');
      result = failureOf(effect, error);
    }
    await deliver(seq, result);
    inHand.delete(seq);
  }

  /** Brings a result into the state, however long the database takes. */
  async function deliver(seq: number, result: Untimed): Promise<void> {
    for (;;) {
      try {
        await feed(() => result, { doneSeq: seq });
        return;
      } catch (error) {
        if (closed) return;
        logger.error({ runId, err: error }, 'a result could not be stored, it comes again');
        await new Promise<void>((resolve) => timers.after(againMs, resolve));
      }
    }
  }

  function over(): void {
    if (closed) return;
    retire();
    dependencies.onOver(runId);
  }

  function retire(): void {
    closed = true;
    cancelTimer();
  }

  return {
    lease,
    current: () => run,
    feed,
    begin,
    resume: async () => {
      await performUndone();
      arm(0);
    },
    retire,
    close: async () => {
      cancelTimer();
      await turn;
      retire();
    },
  };
}

/** Whether only the time of the last event differs: then there is nothing to store. */
function isSame(after: RunState, before: RunState): boolean {
  if (after === before) return true;
  const keys = new Set([...Object.keys(after), ...Object.keys(before)]) as Set<keyof RunState>;
  keys.delete('atMs');
  return [...keys].every((key) => after[key] === before[key]);
}

function failureOf(effect: OutboxEffect, error: unknown): Untimed {
  const { round, attempt, kind } = effect;
  // Advancing does nothing that could fail.
  if (kind === 'advance') return { kind: 'advanced', round, attempt };
  const message = error instanceof Error ? error.message : String(error);
  return { kind: 'workFailed', round, attempt, work: kind, message };
}
