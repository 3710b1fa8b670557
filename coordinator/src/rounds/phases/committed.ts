/**
 * Committed: the round's weights are the run's weights now. The transaction that stores this phase holds checkpoint,
 * record, audit row and release, so a round is committed once or not at all. Then the next round, or the end.
 */
import type { Effect, Outcome } from '../machine/effect.js';
import { publish } from '../machine/publish.js';
import type { EventOf } from '../machine/event.js';
import { decideGate, type GateDecision } from '../machine/gate.js';
import { releaseIdOf } from '../machine/release-id.js';
import { medianNorm } from '../machine/norm.js';
import { cancelWork } from '../machine/policy/cancel-work.js';
import { keepBase } from '../machine/policy/carry.js';
import { noteAnswers } from '../machine/policy/memory.js';
import { noteGoodRounds } from '../machine/policy/quarantine.js';
import type { RunState, SiteMeasures } from '../machine/state.js';
import { presenceOnly } from './presence-only.js';

function enter(state: RunState): Outcome {
  const decision = state.plan.kind === 'probe' ? undefined : gateOf(state);
  const base = state.candidate ?? state.base;
  const released = decision?.passed === true ? releasedBy(state, decision) : state.released;
  const committed: RunState = {
    ...noteGoodRounds(noteAnswers(keepBase(state))),
    base,
    committedRounds: state.round,
    ...(decision && { decision }),
    largestMedianNorm: Math.max(medianNorm(state), state.largestMedianNorm ?? 0),
    ...(released && { released }),
  };
  const installAt = decision?.passed === true ? Object.keys(state.agents).sort() : [];
  const effects: Effect[] = [
    { kind: 'commit', installAt },
    publish(committed, 'round.committed', noteOf(decision)),
    { kind: 'advance', round: state.round, attempt: state.attempt },
  ];
  return { state: committed, effects };
}

const on = {
  ...presenceOnly,
  advanced: (state: RunState, event: EventOf<'advanced'>): Outcome => {
    if (state.round >= state.plan.rounds) {
      const completed: RunState = { ...state, status: 'completed', reason: '' };
      const reason = `run ${state.plan.runId} is completed`;
      const cancels = cancelWork(state, state.carried, reason);
      return { state: completed, effects: [...cancels, publish(completed, 'run.completed')] };
    }
    const { candidate: _c, aggregation: _a, quantized: _q, central: _e, decision: _d, ...kept } = state;
    const next: RunState = {
      ...kept,
      round: state.round + 1,
      attempt: 1,
      roundStartedAtMs: event.atMs,
      phaseMs: {},
      members: {},
      refusals: {},
      abandoned: [],
    };
    return { state: next, effects: [], goto: 'selecting' };
  },
};

function gateOf(state: RunState): GateDecision {
  const sites = Object.entries(state.members).flatMap(([id, { evaluation }]): [string, SiteMeasures][] =>
    typeof evaluation === 'object' && 'fp32' in evaluation ? [[id, evaluation]] : [],
  );
  return decideGate({
    margins: state.plan.gate,
    central: state.central,
    sites: Object.fromEntries(sites),
    quantized: state.quantized,
    released: state.released,
  });
}

function releasedBy(state: RunState, { precision, fp32, int8 }: GateDecision): RunState['released'] {
  const measures = precision === 'int8' ? int8 : fp32;
  if (measures === undefined) return state.released;
  const { accuracy, worstSiteAccuracy } = measures;
  return { releaseId: releaseIdOf(state), accuracy, ...(worstSiteAccuracy !== undefined && { worstSiteAccuracy }) };
}

function noteOf(decision: GateDecision | undefined): Record<string, string | number | boolean> {
  if (decision === undefined) return {};
  const measures = decision.precision === 'int8' ? decision.int8 : decision.fp32;
  return {
    released: decision.passed,
    precision: decision.precision,
    ...(measures && { accuracy: measures.accuracy, loss: measures.loss }),
    ...(measures?.worstSiteAccuracy !== undefined && { worstSiteAccuracy: measures.worstSiteAccuracy }),
  };
}

export const committed = { enter, on };
