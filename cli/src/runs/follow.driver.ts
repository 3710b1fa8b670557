/** Follows a run through the admin API: rounds as they are committed, and the state in between. */
import { setTimeout as sleep } from 'node:timers/promises';

import { GraftError } from '@graft/core/error';

import type { AdminApi } from '../api/admin-api.adapter.js';
import type { RoundView, RunView } from '../api/views.js';

export interface Watcher {
  /** A round was committed; called once a round, in order. */
  round(round: RoundView, run: RunView): void;
  /** What the run does now; called often. */
  status(run: RunView, rounds: readonly RoundView[]): void;
  /** The coordinator stopped answering, with why; it is asked again for so many seconds. Called once an absence. */
  away(reason: string, forSeconds: number): void;
  /** It answers again. */
  back(): void;
}

/** How long a coordinator that restarts is waited for. */
const longestAbsenceMs = 60_000;
const askEveryMs = 250;

/** Lines for people about a coordinator that is away. */
export const aboutAbsence = (tell: (line: string) => void): Pick<Watcher, 'away' | 'back'> => ({
  away: (reason, forSeconds) =>
    tell(`${reason}; the run is kept and goes on when the coordinator is back, asking again for ${forSeconds} s`),
  back: () => tell('the coordinator answers again, the run goes on'),
});

export const isOver = (run: RunView): boolean => run.status !== 'running' && run.status !== 'waiting';

/**
 * Calls the watcher until the run is over, and answers how it ended. A coordinator that restarts meanwhile is waited for.
 * @throws GraftError UNAVAILABLE where the deadline passes, or the coordinator stays away for a minute
 */
export async function followRun(
  api: AdminApi,
  runId: string,
  watcher: Watcher,
  options: { readonly fromRound?: number; readonly deadlineMs?: number; readonly signal?: AbortSignal } = {},
): Promise<RunView> {
  let seen = options.fromRound ?? 0;
  let awaySinceMs: number | undefined;
  for (;;) {
    try {
      const run = await api.get<RunView>(`/runs/${runId}`);
      const rounds = await api.get<RoundView[]>(`/runs/${runId}/rounds?after=${seen}`);
      if (awaySinceMs !== undefined) watcher.back();
      awaySinceMs = undefined;
      for (const round of rounds.filter(
        ({ phase, finishedAtMs }) => finishedAtMs !== undefined && phase === 'committed',
      )) {
        watcher.round(round, run);
        seen = round.round;
      }
      if (isOver(run)) return run;
      watcher.status(run, rounds);
    } catch (error) {
      if (!(error instanceof GraftError && error.row.retryable)) throw error;
      if (awaySinceMs === undefined) watcher.away(error.message, longestAbsenceMs / 1000);
      awaySinceMs ??= Date.now();
      if (Date.now() - awaySinceMs > longestAbsenceMs) throw error;
    }
    if (options.deadlineMs !== undefined && Date.now() > options.deadlineMs) {
      throw new GraftError('TIMED_OUT', `run ${runId} is not over yet; nothing is known to have failed`);
    }
    options.signal?.throwIfAborted();
    await sleep(askEveryMs);
  }
}
