/**
 * Selecting: pick the cohort among the connected agents that may take part. Fewer than the minimum: the run waits and says for whom.
 * The goal, or the minimum and a moment's patience for the others: the plans go out.
 */
import type { Outcome } from '../machine/effect.js';
import { publish } from '../machine/publish.js';
import type { EventOf } from '../machine/event.js';
import { isFull, place } from '../machine/policy/ask.js';
import { dropStale } from '../machine/policy/carry.js';
import { atWorkCount, candidatesOf, choose } from '../machine/policy/choose.js';
import { waitingReason } from '../machine/policy/waiting.js';
import { noteConnected, noteLost, notePaused, noteRestart } from '../machine/presence.js';
import { isAtWork, type Member, type RunState } from '../machine/state.js';

/** Starts a try at the round that the state names. */
function enter(state: RunState, atMs: number): Outcome {
  const fresh = dropStale({ ...state, status: 'running', reason: '' });
  const step = select(fresh.state, atMs);
  return { ...step, effects: [...fresh.effects, ...step.effects] };
}

const on = {
  started: (state: RunState, event: EventOf<'started'>): Outcome => {
    const traits = event.traits ?? {};
    const present = event.connected.reduce((next, id) => noteConnected(next, id, traits[id]), state);
    const step = select(present, event.atMs);
    return { ...step, effects: [publish(present, 'run.started', { rounds: state.plan.rounds }), ...step.effects] };
  },
  restarted: (state: RunState, event: EventOf<'restarted'>): Outcome => select(noteRestart(state, event), event.atMs),
  agentConnected: (state: RunState, event: EventOf<'agentConnected'>): Outcome =>
    select(noteConnected(state, event.agentId, event.traits), event.atMs),
  agentLost: (state: RunState, event: EventOf<'agentLost'>): Outcome =>
    select(noteLost(state, event.agentId, event.atMs), event.atMs),
  agentPaused: (state: RunState, event: EventOf<'agentPaused'>): Outcome =>
    select(notePaused(state, event), event.atMs),
  timePassed: (state: RunState, event: EventOf<'timePassed'>): Outcome => select(state, event.atMs),
};

function select(state: RunState, atMs: number): Outcome {
  const { min, goal, max } = state.plan.cohort;
  // Whoever still works on an earlier plan, or has an update waiting, is of the cohort from the start.
  const begun: RunState = { ...state, members: stillWanted(state.carried), carried: {} };
  const candidates = candidatesOf(begun);
  const ready = [...new Set([...candidates, ...takingPart(begun)])].sort();
  if (ready.length < min) {
    const reason = waitingReason(state, ready);
    const { deadlineMs: _, ...rest } = state;
    const waiting = { ...rest, status: 'waiting' as const, reason };
    return { state: waiting, effects: state.reason === reason ? [] : [publish(waiting, 'run.waiting', { reason })] };
  }
  const running = { status: 'running' as const, reason: '' };
  const deadlineMs = state.deadlineMs ?? atMs + state.plan.gatherMs;
  if (ready.length < goal && atMs < deadlineMs) return { state: { ...state, ...running, deadlineMs }, effects: [] };
  const isDoubtful = (id: string): boolean => failedBefore(state.members[id]);
  // A buffer that is full already makes a better base at once: nobody is asked for the one before it.
  const isClosing = state.plan.policy.kind === 'bufferedAsynchronous' && isFull(begun);
  const chosen = isClosing ? [] : choose(begun, candidates, max - atWorkCount(begun), isDoubtful);
  return { state: place({ ...begun, ...running }, chosen), effects: [], goto: 'training' };
}

/** Of those who worked outside a cohort, who is of the next one. */
function stillWanted(carried: RunState['carried']): RunState['members'] {
  return Object.fromEntries(
    Object.entries(carried).filter(([, { state }]) => state !== 'refused' && state !== 'failed'),
  );
}

/** Agents that have brought an update, or are connected and at work, from earlier rounds. */
function takingPart({ members }: RunState): string[] {
  return Object.entries(members)
    .filter(([, member]) => member.state === 'accepted' || (isAtWork(member) && member.lostAtMs === undefined))
    .map(([id]) => id);
}

/** Who failed the last try comes last. */
function failedBefore(member: Member | undefined): boolean {
  return member !== undefined && member.state !== 'accepted' && member.state !== 'straggler';
}

export const selecting = { enter, on };
