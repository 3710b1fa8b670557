/** Who may be asked, and who of them is asked first: the plan's selection, by what the state knows. Pure and seeded. */
import { seedFrom } from '@graft/core/random';
import type { Candidate } from '@graft/strategies/selection/candidate';
import { leastRecentlyChosen } from '@graft/strategies/selection/least-recently-chosen';
import { randomOrder } from '@graft/strategies/selection/random-order';
import { utilityOrder } from '@graft/strategies/selection/utility-order';

import { connectedAgents, isAtWork, type RunState } from '../state.js';
import { isQuarantined } from './quarantine.js';
import { carriesOver, roundOf } from './staleness.js';

/** True where an agent has all tags that the task asks for, is not in quarantine, and its site does not decline the task. */
export function isEligible(state: RunState, agentId: string): boolean {
  const { agents, plan } = state;
  const { tags = [], declines } = agents[agentId] ?? {};
  return declines !== true && !isQuarantined(state, agentId) && plan.selection.tags.every((tag) => tags.includes(tag));
}

/** Connected agents that may be asked now, in canonical order. */
export function candidatesOf(state: RunState): string[] {
  return connectedAgents(state).filter((id) => isEligible(state, id) && isFree(state, id));
}

/**
 * An agent has one plan at a time and one update in a round. Where rounds take updates of earlier bases, an agent whose update is in
 * this round is free for a plan against the newest base, unless that is the base its update started from.
 */
function isFree(state: RunState, agentId: string): boolean {
  if (state.carried[agentId] !== undefined) return false;
  const member = state.members[agentId];
  if (member === undefined) return true;
  return carriesOver(state.plan) && member.state === 'accepted' && roundOf(state, member) < state.round;
}

/** Agents that work on a plan of this run, whatever its round. */
export function atWorkCount({ members, carried }: RunState): number {
  return [...Object.values(members), ...Object.values(carried)].filter(isAtWork).length;
}

/**
 * At most `count` of the candidates, in canonical order.
 * @param isDoubtful agents that come last, because the try before this one failed with them
 */
export function choose(
  state: RunState,
  candidates: readonly string[],
  count: number,
  isDoubtful: (agentId: string) => boolean = () => false,
): string[] {
  if (count <= 0) return [];
  const order = orderOf(state, candidates, count);
  return [...order.filter((id) => !isDoubtful(id)), ...order.filter(isDoubtful)].slice(0, count).sort();
}

function orderOf(state: RunState, ids: readonly string[], count: number): string[] {
  const { round, attempt, plan } = state;
  const seed = seedFrom('cohort', plan.seed, round, attempt);
  const candidates = ids.map((id): Candidate => ({ id, ...state.memory.agents[id] }));
  const { order } = plan.selection;
  switch (order.kind) {
    case 'leastRecentlyChosen':
      return leastRecentlyChosen(candidates, seed);
    case 'utility':
      return utilityOrder(candidates, { ...order, round, count }, seed);
    default:
      return randomOrder(candidates, seed);
  }
}
