/**
 * Selecting: pick the cohort among the connected agents. Fewer than the minimum: the run waits and says so.
 * The goal, or the minimum and a moment's patience for the others: the plans go out.
 */
import { random, seedFrom } from '@graft/core/random';

import type { Outcome } from '../machine/effect.js';
import { publish } from '../machine/publish.js';
import type { EventOf } from '../machine/event.js';
import { noteConnected, noteLost, noteRestart } from '../machine/presence.js';
import { connectedAgents, type Member, type RunState } from '../machine/state.js';

/** Starts a try at the round that the state names. */
function enter(state: RunState, atMs: number): Outcome {
  return select({ ...state, status: 'running', reason: '' }, atMs);
}

const on = {
  started: (state: RunState, event: EventOf<'started'>): Outcome => {
    const present = event.connected.reduce(noteConnected, state);
    const step = select(present, event.atMs);
    return { ...step, effects: [publish(present, 'run.started', { rounds: state.plan.rounds }), ...step.effects] };
  },
  restarted: (state: RunState, event: EventOf<'restarted'>): Outcome =>
    select(noteRestart(state, event.connected, event.atMs), event.atMs),
  agentConnected: (state: RunState, event: EventOf<'agentConnected'>): Outcome =>
    select(noteConnected(state, event.agentId), event.atMs),
  agentLost: (state: RunState, event: EventOf<'agentLost'>): Outcome =>
    select(noteLost(state, event.agentId, event.atMs), event.atMs),
  timePassed: (state: RunState, event: EventOf<'timePassed'>): Outcome => select(state, event.atMs),
};

function select(state: RunState, atMs: number): Outcome {
  const { min, goal } = state.plan.cohort;
  const candidates = connectedAgents(state);
  if (candidates.length < min) {
    const reason = `round ${state.round} needs ${min} connected agents, there are ${candidates.length}`;
    const { deadlineMs: _, ...rest } = state;
    const waiting = { ...rest, status: 'waiting' as const, reason };
    return { state: waiting, effects: state.reason === reason ? [] : [publish(waiting, 'run.waiting', { reason })] };
  }
  const running = { ...state, status: 'running' as const, reason: '' };
  const deadlineMs = state.deadlineMs ?? atMs + state.plan.gatherMs;
  if (candidates.length < goal && atMs < deadlineMs) return { state: { ...running, deadlineMs }, effects: [] };
  const members = chooseCohort(state, candidates).map((id): [string, Member] => [id, { state: 'selected' }]);
  return { state: { ...running, members: Object.fromEntries(members) }, effects: [], goto: 'training' };
}

/** At most `max` candidates in a seeded order; those that failed the last try come last. */
function chooseCohort(state: RunState, candidates: readonly string[]): string[] {
  const seed = seedFrom('cohort', state.plan.seed, state.round, state.attempt);
  const order = random(seed).shuffle(candidates);
  const doubtful = (id: string): boolean => isDoubtful(state.members[id]);
  return [...order.filter((id) => !doubtful(id)), ...order.filter(doubtful)].slice(0, state.plan.cohort.max).sort();
}

function isDoubtful(member: Member | undefined): boolean {
  return member !== undefined && member.state !== 'accepted' && member.state !== 'straggler';
}

export const selecting = { enter, on };
