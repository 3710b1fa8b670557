/** Messages between replicas: sent to the owner of a run and waited for, and taken to the owners that are here. */
import type { Timers } from '@graft/core/clock';
import { GraftError } from '@graft/core/error';

import type { LocalRuns } from '../rounds/elsewhere.js';
import type { Answer, Letter, RunMessage } from '../rounds/run-message.js';
import type { Logger } from '../rounds/rounds.js';
import type { Inbox } from './inbox.js';
import type { ReplicaTimes } from './replica-times.js';
import type { SignalLine } from './signals.js';

export interface MailroomPorts {
  readonly inbox: Inbox;
  readonly signals: SignalLine;
  readonly isOpen: (runId: string) => Promise<boolean>;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly times: Pick<ReplicaTimes, 'answerMs'>;
}

export interface Mailroom {
  send(runId: string, key: string, message: RunMessage): Promise<Answer | undefined>;
  /** Brings the owners what waits for them. */
  deliver(local: LocalRuns): Promise<void>;
}

/** How often whoever waits for an answer looks by itself. */
const lookMs = 1_000;

export function mailroom({ inbox, signals, isOpen, timers, logger, times }: MailroomPorts): Mailroom {
  const waiters = new Map<number, Set<() => void>>();
  signals.on('answer', ({ seq }) => waiters.get(seq)?.forEach((wake) => wake()));

  /** Resolves at the signal of this answer, and after a while without one. */
  function signalled(seq: number): Promise<void> {
    return new Promise((resolve) => {
      const waiting = waiters.get(seq) ?? new Set();
      waiters.set(seq, waiting);
      const wake = (): void => {
        cancel();
        waiting.delete(wake);
        if (waiting.size === 0) waiters.delete(seq);
        resolve();
      };
      const cancel = timers.after(lookMs, wake);
      waiting.add(wake);
    });
  }

  async function send(runId: string, key: string, message: RunMessage): Promise<Answer | undefined> {
    const seq = await inbox.put(runId, key, message);
    for (let waitedMs = 0; waitedMs <= times.answerMs; waitedMs += lookMs) {
      // The waiter is there before the look: an answer between the two is not missed.
      const next = signalled(seq);
      const answer = await inbox.answerOf(seq);
      if (answer !== undefined) return answer;
      if (!(await isOpen(runId))) return inbox.answerOf(seq);
      await next;
    }
    const why = `no coordinator that owns run ${runId} has answered within ${times.answerMs / 1000} s; send it again`;
    throw new GraftError('UNAVAILABLE', why);
  }

  /** One run's messages, one after another. */
  async function take(local: LocalRuns, runId: string, letters: readonly Letter[]): Promise<void> {
    for (const { seq, message } of letters) {
      const owner = local.owner(runId);
      if (owner === undefined) return;
      try {
        await local.tell(owner, message, seq);
      } catch (error) {
        logger.warn({ runId, seq, err: error }, 'a message to a run could not be taken, it comes again');
        return;
      }
    }
  }

  async function deliver(local: LocalRuns): Promise<void> {
    const letters = await inbox.waiting(local.owners().map(({ lease }) => lease.runId));
    const byRun = new Map<string, Letter[]>();
    for (const letter of letters) byRun.set(letter.runId, [...(byRun.get(letter.runId) ?? []), letter]);
    await Promise.all([...byRun].map(([runId, some]) => take(local, runId, some)));
  }

  return { send, deliver };
}
