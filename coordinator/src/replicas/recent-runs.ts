/** Runs of other replicas, read a moment ago: a state grows with its cohort, and is not read for every report of it. */
import type { Clock } from '@graft/core/clock';

import type { StoredRun } from '../rounds/material.js';

/** How long what was read will do, milliseconds. */
const recentMs = 1_000;
const mostRuns = 100;

/** Reads a run; while its round takes updates, what was read a moment ago will do. Another round or phase is read anew. */
export function recentRuns(
  read: (runId: string) => Promise<StoredRun | undefined>,
  clock: Clock,
): (runId: string, round?: number) => Promise<StoredRun | undefined> {
  const known = new Map<string, { readonly run: StoredRun; readonly atMs: number }>();
  return async (runId, round) => {
    const recent = known.get(runId);
    const age = recent === undefined ? Infinity : Math.abs(clock.nowMs() - recent.atMs);
    const isOfRound = recent?.run.machine.round === round && recent?.run.machine.phase === 'training';
    if (age < recentMs && isOfRound) return recent?.run;
    const run = await read(runId);
    known.delete(runId);
    if (run !== undefined) known.set(runId, { run, atMs: clock.nowMs() });
    const [oldest] = known.keys();
    if (known.size > mostRuns && oldest !== undefined) known.delete(oldest);
    return run;
  };
}
