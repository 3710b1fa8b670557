/**
 * The shell around one run's machine, held by the process that has the run's lease. Events are handled one after another:
 * step, store state and effects in one transaction, and only then act. Those that wait while one is stored share the next
 * transaction (group commit), and nobody is told of a step before it is stored. What is killed in between does the acting again
 * from the outbox; what loses its lease stops at once, because its next transaction is refused.
 */
import type { Clock, Timers } from '@graft/core/clock';
import { GraftError } from '@graft/core/error';

import type { EngineStore, EventContext, Lease, OutboxRow, OwnedRun, StepToSave } from './engine-store.js';
import type { OutboxEffect, Step } from './machine/effect.js';
import type { RunEvent } from './machine/event.js';
import { step, wakeAtMs } from './machine/machine.js';
import type { Transferred } from './machine/record.js';
import { isOpen, type RunState } from './machine/state.js';
import type { StoredRun } from './material.js';
import type { Logger } from './rounds.js';
import { endsGroup, maxGroup } from './step-group.js';

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

/** An event whose turn has not come, and who is told what became of it. */
interface Waiting {
  readonly make: MakeEvent;
  /** Makes an event that takes a while; then `make` is not asked. */
  readonly later?: () => Promise<Untimed>;
  readonly context: EventContext;
  resolve(result: Step | undefined): void;
  reject(error: unknown): void;
}

/** Events that are stepped one after another at one moment, and stored together. */
interface Group {
  machine: RunState;
  readonly atMs: number;
  readonly steps: StepToSave[];
  /** Who is told once the steps are stored. */
  readonly told: { readonly event: Waiting; readonly result: Step | undefined }[];
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
  const waiting: Waiting[] = [];
  let cancelTimer = (): void => undefined;
  /** A save failed and may have been stored all the same: what is in memory is not to be built on. */
  let uncertain = false;
  /** Outbox rows that are being performed here. */
  const inHand = new Set<number>();

  function feed(make: MakeEvent, context: EventContext = {}): Promise<Step | undefined> {
    return new Promise((resolve, reject) => enqueue({ make, context, resolve, reject }));
  }

  function begin(make: () => Promise<Untimed>): Promise<void> {
    return new Promise((resolve, reject) => {
      const failed = (error: unknown): void => {
        uncertain = true;
        recoverLater();
        reject(error);
      };
      enqueue({ later: make, make: () => undefined, context: {}, resolve: () => resolve(), reject: failed });
    });
  }

  /** One turn for each event; those that have been taken into the group of another find nothing left to do. */
  function enqueue(event: Waiting): void {
    waiting.push(event);
    turn = turn.then(takeTurn);
  }

  async function takeTurn(): Promise<void> {
    const first = waiting.shift();
    if (first === undefined) return;
    try {
      if (first.later === undefined) await handle(first, true);
      else {
        const event = await first.later();
        await handle({ ...first, make: () => event }, false);
      }
    } catch (error) {
      first.reject(error);
    }
  }

  /** Steps this event and, where it may be in a group, those that wait behind it; all of them are stored in one transaction. */
  async function handle(first: Waiting, grouped: boolean): Promise<void> {
    if (closed) throw new GraftError('UNAVAILABLE', `run ${runId} is not in this coordinator's hands any more`);
    if (uncertain) await reload();
    const group: Group = { machine: run.machine, atMs: clock.nowMs(), steps: [], told: [] };
    let next: Waiting | undefined = first;
    while (next !== undefined) {
      const isLast = tryTake(next, group);
      const mayFollow =
        grouped && !closed && !isLast && group.steps.length < maxGroup && waiting[0]?.later === undefined;
      next = mayFollow ? waiting.shift() : undefined;
    }
    if (group.steps.length === 0) return;
    try {
      await persist(group.steps, group.machine);
    } catch (error) {
      for (const { event } of group.told) event.reject(error);
      return;
    }
    for (const { event, result } of group.told) event.resolve(result);
  }

  function tryTake(event: Waiting, group: Group): boolean {
    try {
      return take(event, group);
    } catch (error) {
      event.reject(error);
      return false;
    }
  }

  /** Puts an event into a group; answers whether the group ends with it. Who changed nothing of what is stored is answered at once. */
  function take(event: Waiting, group: Group): boolean {
    const { context } = event;
    const tell = (result: Step | undefined): void => {
      if (group.steps.length === 0) event.resolve(result);
      else group.told.push({ event, result });
    };
    // Its result was stored with the end of the run: there is nothing left to write.
    const untimed = closed && context.doneSeq !== undefined ? undefined : event.make(group.machine);
    if (untimed === undefined) {
      tell(undefined);
      return false;
    }
    const before = group.machine;
    const result = step(before, { ...untimed, atMs: group.atMs });
    if (untimed.kind === 'progressed' && context.doneSeq === undefined) {
      // That an agent has begun is good to know and no loss: the next event stores it, ten agents cost no ten transactions.
      group.machine = result.state;
      if (group.steps.length === 0) run = { ...run, machine: result.state };
      tell(result);
      return false;
    }
    const changed = result.effects.length > 0 || !isSame(result.state, before);
    const isAwaited = context.doneSeq !== undefined || context.inboxSeq !== undefined;
    if (changed || isAwaited) {
      group.machine = result.state;
      group.steps.push({ result, context });
    }
    tell(result);
    // Whether a deadline has set the timer is seen by its state.
    return endsGroup(before, result) || untimed.kind === 'timePassed';
  }

  /** @param machine the state after the last step, and after what is only remembered */
  async function persist(steps: readonly StepToSave[], machine: RunState): Promise<void> {
    const transferred = dependencies.transferred();
    const [first, ...others] = steps;
    if (first === undefined) return;
    try {
      const saved = await store.save(lease, run, [{ ...first, context: { ...first.context, transferred } }, ...others]);
      run = steps.at(-1)?.result.state === machine ? saved.run : { ...saved.run, machine };
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
      else {
        const result = step(run.machine, { ...event, atMs: clock.nowMs() });
        await persist([{ result, context: {} }], result.state);
      }
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
