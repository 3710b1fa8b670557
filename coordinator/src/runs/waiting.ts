/** What a run does or waits for at this moment, and what ends that: sentences for people, out of the stored state. Pure. */
import { nextReturnMs, quarantinedAgents } from '../rounds/machine/policy/quarantine.js';
import { connectedAgents, isOpen, membersIn, type Member, type RunState } from '../rounds/machine/state.js';

export interface Waiting {
  /** What the phase does or waits for. */
  readonly for: string;
  /** What ends it; a deadline that does is `untilMs`. */
  readonly endedBy: string;
  readonly untilMs?: number;
}

/** Agents that were sent away because nothing needed them, and when the last of them is back. */
export interface Expected {
  readonly agents: number;
  readonly byMs: number;
}

/** Undefined where the run is over. @param expected absent where no agent is away by order */
export function waitingOf(state: RunState, expected?: Expected): Waiting | undefined {
  if (!isOpen(state)) return undefined;
  const untilMs = Math.min(state.deadlineMs ?? Infinity, state.status === 'waiting' ? nextReturnMs(state) : Infinity);
  const waiting = { ...inPhase(state), ...(untilMs !== Infinity && { untilMs: Math.ceil(untilMs) }) };
  if (state.status !== 'waiting' || expected === undefined) return waiting;
  const back = `${agents(expected.agents)} that had nothing to do ${expected.agents === 1 ? 'is' : 'are'} expected back by ${new Date(expected.byMs).toISOString().slice(11, 19)} UTC`;
  return { ...waiting, for: `${waiting.for}; ${back}` };
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
      for: `${state.reason}${pausedIn(state)}`,
      endedBy: missing > 0 ? `${more(missing, 'agent')} that may take part` : 'an agent that may take part',
    };
  }
  const missing = Math.max(0, goal - connected);
  return {
    for: `${agents(goal)}, ${connected} of them connected`,
    endedBy: missing > 0 ? `${more(missing, 'agent')}, or the deadline` : 'the choice of the cohort',
  };
}

function training(state: RunState): Waiting {
  const { min, goal } = state.plan.cohort;
  const accepted = membersIn(state, 'accepted').length;
  const awaited = membersIn(state, 'selected', 'training').length;
  const atDeadline =
    accepted >= min
      ? `the round closes with the ${accepted} it has`
      : `this try fails, because a round needs ${updates(min)} and has ${accepted}`;
  return {
    for: `updates of ${agents(awaited)}, ${accepted} accepted${pausedIn(state)}`,
    endedBy: `${more(Math.min(Math.max(1, goal - accepted), Math.max(1, awaited)), 'update')}; at the deadline ${atDeadline}`,
  };
}

function evaluating(state: RunState): Waiting {
  const asked = Object.values(state.members).filter(({ evaluation }: Member) => evaluation === 'asked').length;
  if (asked > 0) return { for: `measures of ${agents(asked)}`, endedBy: 'the last of them, or the deadline' };
  return { for: 'the measures on the hold-out examples', endedBy: 'the coordinator itself' };
}

/** Most names that are told. */
const mostNames = 10;

/** Whose sites take no work, and why. */
function pausedIn({ agents: known }: RunState): string {
  const paused = Object.entries(known).flatMap(([id, { paused: why, name = id }]) =>
    why === undefined ? [] : [`${name} (${why})`],
  );
  if (paused.length === 0) return '';
  const rest = paused.length > mostNames ? ` and ${paused.length - mostNames} more` : '';
  return `; takes no work: ${paused.slice(0, mostNames).sort().join(', ')}${rest}`;
}

const more = (count: number, what: string): string => `${count} more ${what}${count === 1 ? '' : 's'}`;
const agents = (count: number): string => `${count} ${count === 1 ? 'agent' : 'agents'}`;
const updates = (count: number): string => `${count} ${count === 1 ? 'update' : 'updates'}`;
