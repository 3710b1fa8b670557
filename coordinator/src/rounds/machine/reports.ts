/** What every phase says to a report that it does not wait for: a value with a reason, counted. */
import type { RefusalReason } from '../rounds.js';
import { acceptedVerdict, refusedVerdict, type Outcome, type Step } from './effect.js';
import type { EventOf } from './event.js';
import { carriedFailure, carriedUpdate } from './policy/carried-reports.js';
import { roundOf } from './policy/staleness.js';
import { refuse } from './refusals.js';
import type { RunState } from './state.js';

type Report = EventOf<'updateReceived' | 'failureReported' | 'evaluationReported'>;

/**
 * Refuses an update or a failure to train that is not of the plan that its agent has; undefined where it is.
 * That plan is of the round in hand, or of an earlier one where the policy lets work outlive its round.
 */
export function refuseUnasked(
  state: RunState,
  report: EventOf<'updateReceived' | 'failureReported'>,
): Step | undefined {
  const { agentId, round } = report;
  const member = state.members[agentId];
  if (member !== undefined && roundOf(state, member) === round) return undefined;
  const stranger = refuseStranger(state, report);
  if (stranger !== undefined || member === undefined) return stranger;
  return refuse(state, agentId, 'not-selected', `agent ${agentId} has no plan of round ${round}`);
}

/** Refuses what belongs to another round or comes from outside the cohort; undefined where the report is for this round. */
export function refuseStranger(state: RunState, report: Report): Step | undefined {
  const { agentId, round } = report;
  if (round > state.round || round < 1) {
    const message = `round ${round} has not begun, the run is at round ${state.round}`;
    return refuse(state, agentId, 'unknown-round', message);
  }
  if (round < state.round) {
    return refuse(state, agentId, 'late', `round ${round} is closed, the run is at round ${state.round}`);
  }
  if (state.members[agentId] === undefined) {
    return refuse(state, agentId, 'not-selected', `agent ${agentId} was not asked in round ${round}`);
  }
  return undefined;
}

/**
 * An update in a phase that takes none. The one that was decided on already gets the same answer again,
 * because its agent may not have heard it; anything else is late.
 * An update of work that goes on outside the cohort is in time for the next one.
 */
export function lateUpdate(state: RunState, event: EventOf<'updateReceived'>): Outcome {
  return (
    carriedUpdate(state, event) ??
    repeatedUpdate(state, event) ??
    refuseUnasked(state, event) ??
    refuse(state, event.agentId, 'late', `round ${event.round} takes no more updates, it is ${state.phase}`)
  );
}

/** The same answer to the same update, without counting it again; undefined where it is another one. */
export function repeatedUpdate(state: RunState, event: EventOf<'updateReceived'>): Step | undefined {
  const member = state.members[event.agentId];
  if (member?.update === undefined || roundOf(state, member) !== event.round) return undefined;
  if (member.update.nonce !== event.update.nonce) return undefined;
  if (member.state === 'accepted') return { state, effects: [], verdict: acceptedVerdict };
  return { state, effects: [], verdict: refusedVerdict(member.reason as RefusalReason, member.message ?? '') };
}

/** A failure that nobody waits for: noted by the verdict alone. */
export function lateFailure(state: RunState, event: EventOf<'failureReported'>): Outcome {
  return (
    carriedFailure(state, event) ??
    refuseUnasked(state, event) ??
    refuse(state, event.agentId, 'late', `round ${event.round} does not wait for this, it is ${state.phase}`)
  );
}

export function lateEvaluation(state: RunState, event: EventOf<'evaluationReported'>): Step {
  return (
    refuseStranger(state, event) ??
    refuse(state, event.agentId, 'late', `round ${event.round} is not being evaluated, it is ${state.phase}`)
  );
}
