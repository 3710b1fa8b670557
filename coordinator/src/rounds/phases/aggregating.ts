/** Aggregating: the accepted updates are folded, apart from this thread; the phase waits for the new weights. */
import type { Outcome } from '../machine/effect.js';
import { publish } from '../machine/publish.js';
import type { EventOf } from '../machine/event.js';
import { carriesOver } from '../machine/policy/staleness.js';
import { membersIn, withMember, type RunState } from '../machine/state.js';
import { presenceOnly } from './presence-only.js';

function enter(state: RunState): Outcome {
  const agentIds = membersIn(state, 'accepted');
  return {
    state,
    effects: [
      { kind: 'aggregate', round: state.round, attempt: state.attempt, agentIds },
      publish(state, 'round.aggregating', { updates: agentIds.length }),
    ],
  };
}

const on = {
  ...presenceOnly,
  aggregated: (state: RunState, event: EventOf<'aggregated'>): Outcome => ({
    state: { ...state, candidate: event.candidate, aggregation: event.report },
    effects: [],
    goto: 'quantizing',
  }),
  workFailed: (state: RunState, event: EventOf<'workFailed'>): Outcome =>
    event.work === 'aggregate'
      ? {
          state: {
            ...(carriesOver(state.plan) ? withoutUpdates(state, event.message) : state),
            reason: `the updates could not be aggregated: ${event.message}`,
          },
          effects: [],
          goto: 'abandoned',
        }
      : { state, effects: [] },
};

/** What could not be folded is not folded again: its agents train anew. */
function withoutUpdates(state: RunState, message: string): RunState {
  return membersIn(state, 'accepted').reduce(
    (next, id) => withMember(next, id, { state: 'failed', reason: 'aggregation', message }),
    state,
  );
}

export const aggregating = { enter, on };
