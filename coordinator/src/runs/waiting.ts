/** What a run does or waits for at this moment, and what ends that: sentences for people, out of the stored state. Pure. */
import { nextReturnMs, quarantinedAgents } from '../rounds/machine/policy/quarantine.js';
import { connectedAgents, isOpen, membersIn, type Member, type RunState } from '../rounds/machine/state.js';

export interface Waiting {
  /** What the phase does or waits for. */
  readonly for: string;
  /** What ends it; a moment that does is `untilMs`. */
  readonly endedBy: string;
  readonly untilMs?: number;
}

/** Undefined where the run is over. */
export function waitingOf(state: RunState): Waiting | undefined {
  if (!isOpen(state)) return undefined;
  const untilMs = Math.min(state.deadlineMs ?? Infinity, state.status === 'waiting' ? nextReturnMs(state) : Infinity);
  return { ...inPhase(state), ...(untilMs !== Infinity && { untilMs: Math.ceil(untilMs) }) };
}

function inPhase(state: RunState): Waiting {
  switch (state.phase) {
    case 'selecting':
      return selecting(state);
    case 'training':
      return training(state);
    case 'aggregating':
      return { for: `the sum of ${updates(membersIn(state, 'accepted').length)}`, endedBy: 'the coordinator itself' };
    case 'quantizing':
      return { for: 'the INT8 candidate', endedBy: 'the coordinator itself' };
    case 'evaluating':
      return evaluating(state);
    case 'committed':
      return { for: 'the next round', endedBy: 'the coordinator itself' };
    default:
      return {
        for: `another try at the round: ${state.reason}`,
        endedBy: `the pause before try ${state.attempt + 1} of ${state.plan.attempts}`,
      };
  }
}

function selecting(state: RunState): Waiting {
  const { min, goal } = state.plan.cohort;
  const connected = connectedAgents(state).length;
  if (state.status === 'waiting') {
    const missing = Math.max(0, min - connected + quarantinedAgents(state).length);
    return {
      for: state.reason,
      endedBy: missing > 0 ? `${agents(missing)} more that may take part` : 'an agent that may take part',
    };
  }
  const missing = Math.max(0, goal - connected);
  return {
    for: `${agents(goal)}, ${connected} of them connected`,
    endedBy: missing > 0 ? `${agents(missing)} more, or the moment` : 'the choice of the cohort',
  };
}

function training(state: RunState): Waiting {
  const { min, goal } = state.plan.cohort;
  const accepted = membersIn(state, 'accepted').length;
  const awaited = membersIn(state, 'selected', 'training').length;
  const enough = accepted >= min ? `closes with ${accepted}` : `abandons the try: ${accepted} of at least ${min}`;
  return {
    for: `updates of ${agents(awaited)}, ${accepted} accepted`,
    endedBy: `${updates(Math.min(Math.max(1, goal - accepted), Math.max(1, awaited)))} more; the moment ${enough}`,
  };
}

function evaluating(state: RunState): Waiting {
  const asked = Object.values(state.members).filter(({ evaluation }: Member) => evaluation === 'asked').length;
  if (asked > 0) return { for: `measures of ${agents(asked)}`, endedBy: 'the last of them, or the moment' };
  return { for: 'the measures on the hold-out examples', endedBy: 'the coordinator itself' };
}

const agents = (count: number): string => `${count} ${count === 1 ? 'agent' : 'agents'}`;
const updates = (count: number): string => `${count} ${count === 1 ? 'update' : 'updates'}`;
