/**
 * Plans for agents that are free, against the newest base: with the cohort, and where the policy lets work outlive its round also
 * while it is open, so that as many agents work at any time as the task allows (FedBuff's concurrency).
 */
import type { Effect } from '../effect.js';
import { publish } from '../publish.js';
import { isAtWork, membersIn, type Member, type RunState } from '../state.js';
import { atWorkCount, candidatesOf, choose } from './choose.js';
import { noteChosen } from './memory.js';
import { maxStaleness, roundOf } from './staleness.js';

/** Gives agents a place: in the cohort, or outside it where their update is in this round already. */
export function place(state: RunState, agentIds: readonly string[]): RunState {
  const fresh: Member = { state: 'selected' };
  const members: Record<string, Member> = { ...state.members };
  const carried: Record<string, Member> = { ...state.carried };
  for (const id of agentIds) {
    if (members[id] === undefined) members[id] = fresh;
    else carried[id] = { ...fresh, round: state.round };
  }
  return noteChosen({ ...state, members, carried }, agentIds);
}

/** Sends a plan to all that have a place and none yet. */
export function sendPlans(state: RunState, atMs: number): { readonly state: RunState; readonly effects: Effect[] } {
  const agentIds: string[] = [];
  const asked = (members: RunState['members']): RunState['members'] =>
    Object.fromEntries(
      Object.entries(members).map(([id, member]) => {
        const isNew = isAtWork(member) && member.askedAtMs === undefined && roundOf(state, member) === state.round;
        if (!isNew) return [id, member];
        agentIds.push(id);
        return [id, { ...member, askedAtMs: atMs }];
      }),
    );
  const next = { ...state, members: asked(state.members), carried: asked(state.carried) };
  if (agentIds.length === 0) return { state: next, effects: [] };
  agentIds.sort();
  return { state: next, effects: [{ kind: 'sendTrain', agentIds, deadlineMs: planDeadlineMs(next, atMs) }] };
}

/**
 * Until when the work of a plan is wanted, and so may begin: the report window, however early the round may close,
 * and the windows of the rounds after it that would still take its update.
 */
export function planDeadlineMs(state: RunState, atMs: number): number {
  const { window } = state.plan;
  const endMs = Math.max(state.deadlineMs ?? 0, state.phaseStartedAtMs + window.maxMs, atMs);
  return endMs + maxStaleness(state.plan) * window.maxMs;
}

/** True once the buffer holds what a commit takes. */
export function isFull(state: RunState): boolean {
  return membersIn(state, 'accepted').length >= state.plan.cohort.goal;
}

/** Asks free agents while the buffer is open and not full and fewer are at work than may be: what a full one makes is the better base. */
export function fill(state: RunState, atMs: number): { readonly state: RunState; readonly effects: Effect[] } {
  const isOver = state.deadlineMs !== undefined && atMs >= state.deadlineMs;
  if (state.plan.policy.kind !== 'bufferedAsynchronous' || isFull(state) || isOver) return { state, effects: [] };
  const room = state.plan.cohort.max - atWorkCount(state);
  const chosen = choose(state, candidatesOf(state), room);
  if (chosen.length === 0) return { state, effects: [] };
  const placed = sendPlans(place(state, chosen), atMs);
  return {
    state: placed.state,
    effects: [...placed.effects, publish(placed.state, 'agents.asked', { agents: chosen.length })],
  };
}
