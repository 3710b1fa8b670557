/**
 * The shell around one run's machine, held by the process that has the run's lease. Events are handled one after another:
 * step, store state and effects in one transaction, and only then act. What is killed in between does the acting again
 * from the outbox; what loses its lease stops at once, because its next transaction is refused.
 */
import type { Clock } from '@graft/core/clock';
import { GraftError } from '@graft/core/error';

import type { OutboxEffect, Step } from './machine/effect.js';
import type { RunEvent, Work } from './machine/event.js';
import { step, wakeAtMs } from './machine/machine.js';
import type { RunState } from './machine/state.js';
import type { StoredRun } from './material.js';
import type { Logger } from './rounds.js';

/** An event before its time is known: the owner's clock gives it when its turn comes. */
export type Untimed = RunEvent extends infer E ? (E extends RunEvent ? Omit<E, 'atMs'> : never) : never;

/** An undone row of the outbox. */
export interface OutboxRow {
  readonly seq: number;
  readonly effect: OutboxEffect;
}

/** What a step is stored with. */
export interface Storage {
  /**
   * One transaction: state, effects, rows; `doneSeq` is the outbox row whose result the event was.
   * Answers the run as stored and the new outbox rows. Throws LEASE_LOST where another process owns the run.
   */
  save(before: StoredRun, result: Step, context: EventContext): Promise<{ run: StoredRun; outbox: OutboxRow[]; wake: string[] }>;
  /** Outbox rows that are not done, oldest first. */
  undone(runId: string): Promise<OutboxRow[]>;
}

/** What comes with an event and is stored in its transaction, but is none of the machine's business. */
export interface EventContext {
  readonly doneSeq?: number;
  /** The signed report behind an `updateReceived`. */
  readonly report?: { readonly manifest: Uint8Array; readonly ciphertextHash: string };
}

export interface OwnerDependencies {
  readonly storage: Storage;
  /** Performs one effect and answers the event that it results in. */
  perform(effect: OutboxEffect, run: StoredRun): Promise<Untimed>;
  wake(agentId: string): void;
  /** Agents whose progress moved lately; see Heartbeat. */
  active(): readonly string[];
  onOver(runId: string): void;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface RunOwner {
  readonly runId: string;
  current(): StoredRun;
  /** Handles one event in its turn. `make` sees the state it meets; undefined means that there is nothing to say. */
  feed(make: (state: RunState) => Untimed | undefined, context?: EventContext): Promise<Step | undefined>;
  /** Performs what a predecessor left undone. */
  resume(): Promise<void>;
  /** Ends after the event in hand. */
  close(): Promise<void>;
}

/** Node's timers hold 31 bits of milliseconds. */
const longestTimerMs = 2 ** 31 - 1;
/** A result that could not be stored is offered again after this pause: the database may be full or restarting. */
const retrySaveMs = 1000;

export function ownRun(first: StoredRun, dependencies: OwnerDependencies): RunOwner {
  const { storage, clock, logger } = dependencies;
  const { runId } = first.machine.plan;
  let run = first;
  let closed = false;
  let turn: Promise<unknown> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;

  function feed(make: (state: RunState) => Untimed | undefined, context: EventContext = {}): Promise<Step | undefined> {
    const mine = turn.then(() => handle(make, context));
    turn = mine.catch(() => undefined);
    return mine;
  }

  async function handle(make: (state: RunState) => Untimed | undefined, context: EventContext): Promise<Step | undefined> {
    if (closed) throw new GraftError('UNAVAILABLE', `run ${runId} is not owned by this coordinator any more`);
    const untimed = make(run.machine);
    if (untimed === undefined) return undefined;
    const result = step(run.machine, { ...untimed, atMs: clock.nowMs() } as RunEvent);
    const isNothing = result.state === run.machine && result.effects.length === 0 && context.doneSeq === undefined;
    if (isNothing) return result;
    try {
      const saved = await storage.save(run, result, context);
      run = saved.run;
      arm();
      for (const agentId of saved.wake) dependencies.wake(agentId);
      for (const row of saved.outbox) void act(row);
    } catch (error) {
      if (error instanceof GraftError && error.code === 'LEASE_LOST') {
        logger.warn({ runId }, error.message);
        retire();
      } else {
        // The state stays as stored, so the event has not happened; its sender or the timer comes again.
        arm();
      }
      throw error;
    }
    if (run.machine.status !== 'running' && run.machine.status !== 'waiting') dependencies.onOver(runId);
    return result;
  }

  function arm(): void {
    clearTimeout(timer);
    const dueAtMs = wakeAtMs(run.machine);
    if (closed || dueAtMs === undefined) return;
    const afterMs = Math.min(longestTimerMs, Math.max(retryFloorMs(dueAtMs), dueAtMs - clock.nowMs()));
    timer = setTimeout(() => {
      feed(() => ({ kind: 'timePassed', active: dependencies.active() })).then(arm, (error: unknown) =>
        logger.error({ runId, err: error }, 'a deadline could not be handled'),
      );
    }, afterMs);
    timer.unref();
  }

  /** A deadline that has come but changes nothing would spin; it is looked at again a moment later. */
  let lastDueAtMs = 0;
  function retryFloorMs(dueAtMs: number): number {
    const again = dueAtMs === lastDueAtMs && dueAtMs <= clock.nowMs();
    lastDueAtMs = dueAtMs;
    return again ? retrySaveMs : 0;
  }

  async function act({ seq, effect }: OutboxRow): Promise<void> {
    let result: Untimed;
    try {
      result = await dependencies.perform(effect, run);
    } catch (error) {
      if (closed) return;
      logger.error({ runId, round: effect.round, effect: effect.kind, err: error }, 'an effect failed');
      result = failureOf(effect, error);
    }
    await deliver(seq, result);
  }

  /** Brings a result into the state, however long the database takes. */
  async function deliver(seq: number, result: Untimed): Promise<void> {
    while (!closed) {
      try {
        await feed(() => result, { doneSeq: seq });
        return;
      } catch (error) {
        if (closed) return;
        logger.error({ runId, err: error }, 'a result could not be stored, it is offered again');
        await new Promise((resolve) => setTimeout(resolve, retrySaveMs));
      }
    }
  }

  function retire(): void {
    closed = true;
    clearTimeout(timer);
  }

  return {
    runId,
    current: () => run,
    feed,
    resume: async () => {
      for (const row of await storage.undone(runId)) void act(row);
      arm();
    },
    close: async () => {
      await turn;
      retire();
    },
  };
}

function failureOf(effect: OutboxEffect, error: unknown): Untimed {
  const { round, attempt, kind } = effect;
  // Advancing does nothing that could fail.
  if (kind === 'advance') return { kind: 'advanced', round, attempt };
  const message = error instanceof Error ? error.message : String(error);
  return { kind: 'workFailed', round, attempt, work: kind satisfies Work, message };
}
