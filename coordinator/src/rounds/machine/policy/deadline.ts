/**
 * When a round stops waiting. Without patience: at the end of its report window. With it: the round waits `patience` times as long as
 * nine in ten of the latest accepted updates have taken, so it follows the speed of its agents without being told it; the window
 * bounds it. At that moment, who has told of progress lately gets half as much time again, time after time until the window ends,
 * and who is silent gets none: a slow agent is waited for, a dead one is not. Below the minimum silence ends nothing before the
 * window does, because a round that is abandoned is worth less than one that is late. Deadlines from a quantile of what was
 * observed times a margin are how TCP sets its retransmission timer (Jacobson, "Congestion Avoidance and Control", 1988) and how
 * systems hedge against stragglers (Dean and Barroso, "The Tail at Scale", 2013); reporting windows that adapt to the population:
 * Bonawitz et al. 2019 (https://arxiv.org/abs/1902.01046), section 2.3.
 */
import { membersIn, type RunState } from '../state.js';

/** Fewer answers than this say nothing about the next ones. */
export const leastAnswers = 3;
const quantile = 0.9;

/** How long a round waits before it looks who is still active, milliseconds. */
export function spanMs({ plan, memory }: RunState): number {
  const { patience } = plan.deadline;
  if (patience === undefined || plan.policy.kind === 'semiSynchronous' || memory.answerMs.length < leastAnswers)
    return plan.window.maxMs;
  const sorted = [...memory.answerMs].sort((a, b) => a - b);
  const slow = sorted[Math.ceil(quantile * sorted.length) - 1] ?? 0;
  return Math.min(plan.window.maxMs, Math.max(plan.window.minMs, slow * patience, leastSpanMs));
}

/** Below this a deadline measures the scheduler of a busy machine, not its agents. */
export const leastSpanMs = 100;

/** When the report window ends, whatever progress there is. */
function windowEndMs(state: RunState): number {
  return state.phaseStartedAtMs + state.plan.window.maxMs;
}

/** The deadline after the one that has come, by the agents that are active; undefined where the round waits no longer. */
export function laterDeadlineMs(state: RunState, atMs: number, active: readonly string[]): number | undefined {
  const endMs = windowEndMs(state);
  if (state.plan.deadline.patience === undefined || atMs >= endMs) return undefined;
  const awaited = membersIn(state, 'selected', 'training');
  const isShort = membersIn(state, 'accepted').length < state.plan.cohort.min;
  if (isShort) return endMs;
  return awaited.some((id) => active.includes(id)) ? Math.min(endMs, atMs + spanMs(state) / 2) : undefined;
}
