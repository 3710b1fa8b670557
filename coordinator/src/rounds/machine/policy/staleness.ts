/**
 * Which base an agent's work started from, and what its update counts for that. Where rounds do not wait for everyone,
 * members keep the round of their plan while the run goes on; see docs/policies.md.
 */
import { stalenessWeight } from '@graft/strategies/staleness';

import type { Member, RunPlan, RunState } from '../state.js';

/** Commits that may lie between the base of an update and the fold that takes it; 0 where a round takes only its own. */
export function maxStaleness({ policy }: Pick<RunPlan, 'policy'>): number {
  return policy.kind === 'synchronous' ? 0 : policy.maxStaleness;
}

/** True where a commit cancels nobody: who still trains goes on, and counts later. */
export function carriesOver({ policy }: Pick<RunPlan, 'policy'>): boolean {
  return policy.kind !== 'synchronous';
}

/** The round whose plan a member works on. */
export function roundOf(state: Pick<RunState, 'round'>, member: Member): number {
  return member.round ?? state.round;
}

/** The round whose plan an agent of the cohort works on, and whose key its update is sealed to. */
export function baseRound(state: RunState, agentId: string): number {
  const member = state.members[agentId];
  return member === undefined ? state.round : roundOf(state, member);
}

/** Commits between the base of a member's work and the round in hand. */
export function stalenessOf(state: Pick<RunState, 'round'>, member: Member): number {
  return Math.max(0, state.round - roundOf(state, member));
}

/** How much of its share the update of an agent of the cohort counts in this round's fold, in (0, 1]. */
export function updateWeight(state: RunState, agentId: string): number {
  const member = state.members[agentId];
  return member === undefined ? 1 : stalenessWeight(stalenessOf(state, member));
}
