/**
 * Evaluating: the candidate is measured here, on the hold-out examples, and at the agents that trained it, on theirs.
 * The phase waits for the coordinator's own measures and, until its deadline, for the agents'.
 */
import { acceptedVerdict, type Effect, type Outcome } from '../machine/effect.js';
import { publish } from '../machine/publish.js';
import type { EventOf } from '../machine/event.js';
import { carriedFailure } from '../machine/policy/carried-reports.js';
import { noteConnected, noteLost, notePaused, noteRestart } from '../machine/presence.js';
import { refuse } from '../machine/refusals.js';
import { refuseStranger } from '../machine/reports.js';
import { membersIn, withMember, type CentralEvaluation, type RunState } from '../machine/state.js';

function enter(state: RunState, atMs: number): Outcome {
  if (state.plan.kind === 'probe') {
    return {
      state: { ...state, central: { none: 'probe task: nothing to evaluate' } },
      effects: [],
      goto: 'committed',
    };
  }
  // Who has a new plan already is not kept from it.
  const agentIds = membersIn(state, 'accepted').filter(
    (id) => state.agents[id]?.connected === true && state.carried[id] === undefined,
  );
  const deadlineMs = atMs + state.plan.evaluationMs;
  const asked = agentIds.reduce<RunState>((next, id) => withMember(next, id, { evaluation: 'asked' }), {
    ...state,
    deadlineMs,
  });
  const effects: Effect[] = [publish(asked, 'round.evaluating', { agents: agentIds.length })];
  if (agentIds.length > 0) effects.push({ kind: 'sendEvaluate', agentIds, deadlineMs });
  if (state.plan.holdOut) effects.push({ kind: 'evaluateCentral', round: state.round, attempt: state.attempt });
  const central: CentralEvaluation = { none: 'the task names no hold-out examples' };
  const step = decide(state.plan.holdOut ? asked : { ...asked, central });
  return { ...step, effects: [...effects, ...step.effects] };
}

const on = {
  restarted: (state: RunState, event: EventOf<'restarted'>): Outcome => postpone(decide(noteRestart(state, event))),
  agentConnected: (state: RunState, event: EventOf<'agentConnected'>): Outcome => ({
    state: noteConnected(state, event.agentId, event.traits),
    effects: [],
  }),
  agentLost: (state: RunState, event: EventOf<'agentLost'>): Outcome => ({
    state: noteLost(state, event.agentId, event.atMs),
    effects: [],
  }),
  agentPaused: (state: RunState, event: EventOf<'agentPaused'>): Outcome => ({
    state: notePaused(state, event),
    effects: [],
  }),
  evaluationReported: (state: RunState, event: EventOf<'evaluationReported'>): Outcome => {
    const { agentId, measures } = event;
    return answer(state, event, () => withMember(state, agentId, { evaluation: measures }));
  },
  failureReported: (state: RunState, event: EventOf<'failureReported'>): Outcome => {
    const { agentId, code, message } = event;
    const carried = carriedFailure(state, event);
    if (carried !== undefined) return carried;
    return answer(state, event, () => withMember(state, agentId, { evaluation: { failed: `${code}: ${message}` } }));
  },
  evaluatedCentrally: (state: RunState, event: EventOf<'evaluatedCentrally'>): Outcome =>
    decide({ ...state, central: event.result }),
  workFailed: (state: RunState, event: EventOf<'workFailed'>): Outcome =>
    event.work === 'evaluateCentral'
      ? decide({ ...state, central: { none: `central evaluation failed: ${event.message}` } })
      : { state, effects: [] },
  timePassed: (state: RunState, event: EventOf<'timePassed'>): Outcome => decide(giveUp(state, event.atMs)),
};

function answer(
  state: RunState,
  event: EventOf<'evaluationReported' | 'failureReported'>,
  note: () => RunState,
): Outcome {
  const stranger = refuseStranger(state, event);
  if (stranger !== undefined) return stranger;
  const { agentId } = event;
  const evaluation = state.members[agentId]?.evaluation;
  if (evaluation === undefined) {
    return refuse(state, agentId, 'not-selected', `agent ${agentId} was not asked to evaluate round ${state.round}`);
  }
  // A repeated report changes nothing and gets the same answer; one whose agent was given up on is still welcome.
  if (typeof evaluation === 'object') return { state, effects: [], verdict: acceptedVerdict };
  const step = decide(note());
  const settle: Effect = { kind: 'settle', agentIds: [agentId], work: 'evaluate' };
  return { ...step, effects: [settle, ...step.effects], verdict: acceptedVerdict };
}

/** Marks the agents that are away too long, and at the deadline all that have not answered. */
function giveUp(state: RunState, atMs: number): RunState {
  const over = state.deadlineMs !== undefined && atMs >= state.deadlineMs;
  return awaitedAgents(state).reduce((next, id) => {
    const lostAtMs = state.members[id]?.lostAtMs;
    if (lostAtMs !== undefined && lostAtMs + state.plan.lostAfterMs <= atMs) {
      return withMember(next, id, { evaluation: 'lost' });
    }
    return over ? withMember(next, id, { evaluation: 'late' }) : next;
  }, state);
}

function awaitedAgents(state: RunState): string[] {
  return Object.keys(state.members)
    .filter((id) => state.members[id]?.evaluation === 'asked')
    .sort();
}

function decide(state: RunState): Outcome {
  if (awaitedAgents(state).length > 0) return { state, effects: [] };
  if (state.central !== undefined) return conclude(state);
  // Only the coordinator's own measures are missing, and they come or fail without a deadline.
  const { deadlineMs: _, ...rest } = state;
  return { state: rest, effects: [] };
}

/** Who is still to evaluate must know that its deadline has moved. */
function postpone(outcome: Outcome): Outcome {
  const { state } = outcome;
  const agentIds = awaitedAgents(state);
  if (outcome.goto !== undefined || agentIds.length === 0 || state.deadlineMs === undefined) return outcome;
  const effect: Effect = { kind: 'postpone', agentIds, work: 'evaluate', deadlineMs: state.deadlineMs };
  return { ...outcome, effects: [...outcome.effects, effect] };
}

function conclude(state: RunState): Outcome {
  const silent = Object.entries(state.members)
    .filter(([, { evaluation }]) => evaluation === 'lost' || evaluation === 'late')
    .map(([id]) => id)
    .sort();
  const settle: Effect[] = silent.length > 0 ? [{ kind: 'settle', agentIds: silent, work: 'evaluate' }] : [];
  return { state, effects: settle, goto: 'committed' };
}

export const evaluating = { enter, on };
