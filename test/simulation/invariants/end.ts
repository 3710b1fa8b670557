/** What must hold once nothing fails any more: every run has come to an end, and nothing is left over. */
import type { Config } from '../input.js';
import type { Contents } from '../stores/simulated-store.js';
import { defaultRunSettings } from '../../../coordinator/src/rounds/run-plan.js';
import { updateLimitsSchema } from '../../../models/src/pipeline/task-spec.js';
import { demand } from '../world/violation.js';

/** How long a run may take when nothing fails: every round in its last try, every phase to its deadline. */
export function patienceMs({ rounds, windowMs, settings, task }: Config): number {
  const { attempts, extensions, gatherMs, retryMs } = { ...defaultRunSettings, ...settings };
  // Those whose last bad updates come in now are back after the longest quarantine, 64 times the first one.
  const quarantineMs = 2 * 64 * updateLimitsSchema.parse(task['limits'] ?? {}).quarantine.forMs;
  const training = windowMs * (1 + extensions / 2);
  return rounds * attempts * (training + windowMs + gatherMs + retryMs + 60_000) + quarantineMs + 600_000;
}

export function checkEnd(contents: Contents, { rounds }: Config): void {
  demand(contents.runs.length > 0, 'a run that is asked for is started', () => 'there is no run');
  for (const { runId, run } of contents.runs) {
    const { status, phase, round, attempt, reason, committedRounds } = run.machine;
    const said = (): string => `run ${runId} is ${status} in round ${round}, try ${attempt}, ${phase}: '${reason}'`;
    demand(status !== 'running' && status !== 'waiting', 'a run comes to its end', said);
    if (status === 'completed') demand(committedRounds === rounds, 'a completed run has all its rounds', said);
    else demand(reason !== '', 'a run that ends early says why', said);
    const left = contents.unsettled.filter((each) => each.runId === runId && each.kind !== 'cancel');
    demand(left.length === 0, 'nothing is asked of agents for ever', () => `${said()}; left: ${JSON.stringify(left)}`);
    if (status !== 'completed') continue;
    const undone = contents.outbox.filter((row) => row.runId === runId && !row.done);
    demand(undone.length === 0, 'no effect is left undone', () => JSON.stringify(undone));
  }
}
