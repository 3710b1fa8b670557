/**
 * Abandoned: this try at the round came to nothing, for a reason that is kept. It is tried again a few times, then the run fails.
 * Where the policy lets work outlive its round, the next try goes on with what was accepted and with who is at work.
 */
import type { Effect, Outcome } from '../machine/effect.js';
import { publish } from '../machine/publish.js';
import type { EventOf } from '../machine/event.js';
import { noteRestart } from '../machine/presence.js';
import { cancelWork } from '../machine/policy/cancel-work.js';
import { carryAll } from '../machine/policy/carry.js';
import { carriesOver } from '../machine/policy/staleness.js';
import type { RunState } from '../machine/state.js';
import { presenceOnly } from './presence-only.js';

/** The state's reason says why. */
function enter(state: RunState, atMs: number): Outcome {
  const { reason } = state;
  const abandoned: RunState = { ...state, abandoned: [...state.abandoned, { attempt: state.attempt, reason }] };
  const note = publish(abandoned, 'round.abandoned', { reason });
  const why = `round ${state.round} was abandoned: ${reason}`;
  const isLast = state.attempt >= state.plan.attempts;
  const effects: Effect[] = [
    ...(carriesOver(state.plan) && !isLast ? [] : cancelWork(state, state.members, why)),
    ...(isLast ? cancelWork(state, state.carried, why) : []),
    note,
  ];
  if (!isLast) return { state: { ...carryAll(abandoned), deadlineMs: atMs + state.plan.retryMs }, effects };
  const times = state.attempt === 1 ? 'once' : `${state.attempt} times`;
  const failed: RunState = {
    ...abandoned,
    status: 'failed',
    reason: `round ${state.round} was abandoned ${times}, the last time because ${reason}`,
  };
  return { state: failed, effects: [...effects, publish(failed, 'run.failed', { reason: failed.reason })] };
}

const on = {
  ...presenceOnly,
  restarted: (state: RunState, event: EventOf<'restarted'>): Outcome => retry(noteRestart(state, event), event.atMs),
  timePassed: (state: RunState, event: EventOf<'timePassed'>): Outcome => retry(state, event.atMs),
};

function retry(state: RunState, atMs: number): Outcome {
  if (state.deadlineMs === undefined || atMs < state.deadlineMs) return { state, effects: [] };
  const { candidate: _c, aggregation: _a, quantized: _q, central: _e, ...kept } = state;
  return { state: { ...kept, attempt: state.attempt + 1 }, effects: [], goto: 'selecting' };
}

export const abandoned = { enter, on };
