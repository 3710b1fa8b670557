/** Quantizing: the candidate's INT8 form is made. Where that is impossible the round goes on in fp32 and says why. */
import type { Outcome } from '../machine/effect.js';
import { publish } from '../machine/publish.js';
import type { EventOf } from '../machine/event.js';
import { membersIn, type QuantizedCandidate, type RunState } from '../machine/state.js';
import { presenceOnly } from './presence-only.js';

/** A probe has no graph: it passes through with a note. */
function enter(state: RunState): Outcome {
  if (state.plan.kind === 'probe') return finish(state, { none: 'probe task: nothing to quantize' });
  const agentIds = membersIn(state, 'accepted');
  return {
    state,
    effects: [
      { kind: 'quantize', round: state.round, attempt: state.attempt, agentIds },
      publish(state, 'round.quantizing'),
    ],
  };
}

const on = {
  ...presenceOnly,
  quantized: (state: RunState, event: EventOf<'quantized'>): Outcome =>
    finish({ ...state, ...(event.frozenTrunk && { frozenTrunk: event.frozenTrunk }) }, event.result),
  workFailed: (state: RunState, event: EventOf<'workFailed'>): Outcome =>
    event.work === 'quantize'
      ? finish(state, { none: `quantization failed: ${event.message}` })
      : { state, effects: [] },
};

function finish(state: RunState, quantized: QuantizedCandidate): Outcome {
  return { state: { ...state, quantized }, effects: [], goto: 'evaluating' };
}

export const quantizing = { enter, on };
