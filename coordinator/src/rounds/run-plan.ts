/** The plan of a run out of its task and the coordinator's own settings. */
import type { TaskSpec } from '@graft/models/pipeline/task-spec';

import type { RunPlan } from './machine/state.js';

/** Times and counts that a task does not set. */
export interface RunSettings {
  /** How long selecting waits for the goal once the minimum is connected. */
  readonly gatherMs: number;
  /** An agent that is away longer than this counts as lost for the round. */
  readonly lostAfterMs: number;
  readonly attempts: number;
  readonly retryMs: number;
  readonly extensions: number;
}

export const defaultRunSettings: RunSettings = {
  // Agents come back with jittered back-off after a restart of the coordinator: most are here within seconds.
  gatherMs: 5000,
  lostAfterMs: 15_000,
  attempts: 3,
  retryMs: 2000,
  extensions: 2,
};

export function runPlan(
  spec: TaskSpec,
  of: { readonly runId: string; readonly taskId: string; readonly seed: number; readonly rounds?: number },
  settings: RunSettings = defaultRunSettings,
): RunPlan {
  const { cohort, windowMs, limits, policy, selection, deadline, transfers } = spec;
  const gate = spec.kind === 'fit' ? spec.gate : { margin: 0, worstSiteMargin: 0, int8Margin: 0 };
  return {
    runId: of.runId,
    taskId: of.taskId,
    taskName: spec.name,
    ...(spec.priority !== undefined && { priority: spec.priority }),
    kind: spec.kind,
    rounds: of.rounds ?? spec.rounds,
    seed: of.seed,
    cohort,
    window: { minMs: 0, maxMs: windowMs },
    evaluationMs: windowMs,
    ...settings,
    // A short window must not wait for the lost longer than for anyone.
    lostAfterMs: Math.min(settings.lostAfterMs, windowMs),
    limits,
    gate,
    holdOut: spec.kind === 'fit' && spec.holdOut !== undefined,
    policy,
    selection,
    deadline,
    ...(transfers && { transfers }),
  };
}
