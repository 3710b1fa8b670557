/** What a stored step of a run means to those who watch: phases that ended, rounds that were decided, agents that were answered. Pure. */
import { phases, type MemberState, type Phase, type RunState } from '../../rounds/machine/state.js';

/** A phase that a round went through, from and until when. */
export interface PhaseSpent {
  readonly phase: Phase;
  readonly startMs: number;
  readonly endMs: number;
}

/** Phases that ended with this step, in their order. The time between a commit and the next round belongs to no round. */
export function phasesSpent(before: RunState, after: RunState): PhaseSpent[] {
  const isNewRound = after.round !== before.round;
  let startMs = isNewRound ? after.roundStartedAtMs : before.phaseStartedAtMs;
  const from = isNewRound || before.phase === 'abandoned' ? 'selecting' : before.phase;
  const order = [
    ...(before.phase === 'abandoned' ? (['abandoned'] as const) : []),
    ...phases.slice(phases.indexOf(from)),
  ];
  const spent: PhaseSpent[] = [];
  for (const phase of new Set(order)) {
    const ms = (after.phaseMs[phase] ?? 0) - (isNewRound ? 0 : (before.phaseMs[phase] ?? 0));
    const hasEnded = after.phaseMs[phase] !== (isNewRound ? undefined : before.phaseMs[phase]);
    if (!hasEnded) continue;
    spent.push({ phase, startMs, endMs: startMs + ms });
    startMs += ms;
  }
  return spent;
}

/** How a try at the round ended with this step; undefined while it goes on. */
export function decided(before: RunState, after: RunState): 'committed' | 'abandoned' | undefined {
  if (after.abandoned.length > before.abandoned.length && after.round === before.round) return 'abandoned';
  return after.committedRounds > before.committedRounds ? 'committed' : undefined;
}

/** Agents of the round in hand, counted by state. */
export function membersByState(state: RunState): Partial<Record<MemberState, number>> {
  const counts: Partial<Record<MemberState, number>> = {};
  for (const { state: one } of Object.values(state.members)) counts[one] = (counts[one] ?? 0) + 1;
  return counts;
}
