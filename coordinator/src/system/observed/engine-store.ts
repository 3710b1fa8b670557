/** An engine store that counts, logs and traces what it stored: nothing is told of a step before its transaction has committed. */
import type { Step } from '../../rounds/machine/effect.js';
import type { RunState } from '../../rounds/machine/state.js';
import { isOpen } from '../../rounds/machine/state.js';
import type { EngineStore, EventContext, OutboxRow } from '../../rounds/engine-store.js';
import type { Log } from '../../server/log.js';
import type { Telemetry } from '../telemetry.js';
import { decided, membersByState, phasesSpent } from './round-steps.js';

export interface ObserveRounds {
  readonly telemetry: Telemetry;
  readonly log: Log;
  /** The W3C traceparent of a round: the same in every process that works on it. */
  readonly traceparentOf: (runId: string, round: number) => string;
}

/** The store, observed. A failure of observing is never a failure of storing. */
export function observedEngineStore(store: EngineStore, observe: ObserveRounds): EngineStore {
  const { telemetry } = observe;
  const inHand = new Map<number, EffectInHand>();
  return {
    ...store,
    save: async (lease, before, steps) => {
      const saved = await store.save(lease, before, steps);
      telemetry.observe('graft_transaction_steps', {}, steps.length);
      let machine = before.machine;
      for (const [i, { result, context }] of steps.entries()) {
        noteStep(machine, result, context, observe);
        // Only the last step of a group asks for effects.
        noteEffects(inHand, i === steps.length - 1 ? saved.outbox : [], result.state, { context, observe });
        machine = result.state;
      }
      return saved;
    },
    renew: async (leases) => {
      const lost = await store.renew(leases);
      telemetry.add('graft_lease_renewals_total', { result: 'renewed' }, leases.length - lost.length);
      telemetry.add('graft_lease_renewals_total', { result: 'lost' }, lost.length);
      return lost;
    },
  };
}

/** An effect of the outbox that is being performed, since when. */
interface EffectInHand {
  readonly effect: OutboxRow['effect'];
  readonly startMs: number;
}

/** Effects that are remembered at once; those of a run that was lost stay until they are pushed out. */
const maxInHand = 1_000;

/** One span an effect, from the transaction that asks for it to the one that stores its result. */
function noteEffects(
  inHand: Map<number, EffectInHand>,
  added: readonly OutboxRow[],
  state: RunState,
  {
    context,
    observe: { telemetry, traceparentOf },
  }: { readonly context: EventContext; readonly observe: ObserveRounds },
): void {
  const done = context.doneSeq === undefined ? undefined : inHand.get(context.doneSeq);
  if (done !== undefined && context.doneSeq !== undefined) {
    const { effect, startMs } = done;
    inHand.delete(context.doneSeq);
    const { runId } = state.plan;
    const attributes = { runId, round: effect.round, attempt: effect.attempt };
    const parent = traceparentOf(runId, effect.round);
    telemetry.span(`effect ${effect.kind}`, { parent, startMs, attributes }).end(undefined, state.atMs);
  }
  for (const { seq, effect } of added) inHand.set(seq, { effect, startMs: state.atMs });
  for (const seq of inHand.keys()) {
    if (inHand.size <= maxInHand) break;
    inHand.delete(seq);
  }
}

function noteStep(before: RunState, result: Step, context: EventContext, observe: ObserveRounds): void {
  noteReport(before, result, context, observe);
  notePhases(before, result.state, observe);
  noteDecision(before, result.state, observe);
  noteStatus(before, result.state, observe);
}

const placeOf = ({ plan, round, attempt }: RunState) => ({ runId: plan.runId, round, attempt });

function notePhases(before: RunState, after: RunState, { telemetry, log, traceparentOf }: ObserveRounds): void {
  const place = placeOf(after);
  for (const { phase, startMs, endMs } of phasesSpent(before, after)) {
    telemetry.observe('graft_round_phase_seconds', { phase }, (endMs - startMs) / 1000);
    const parent = traceparentOf(place.runId, place.round);
    telemetry.span(`phase ${phase}`, { parent, startMs, attributes: { ...place, phase } }).end(undefined, endMs);
  }
  if (after.phase === before.phase && after.round === before.round && after.attempt === before.attempt) return;
  // How a try ended has a line of its own.
  if (decided(before, after) !== undefined) return;
  const agents = Object.keys(after.members).length;
  log.info({ ...place, phase: after.phase, ...(agents > 0 && { agents }) }, `round ${after.round}: ${after.phase}`);
}

function noteReport(
  before: RunState,
  { verdict, state: after }: Step,
  { report }: EventContext,
  observe: ObserveRounds,
): void {
  const { telemetry, log } = observe;
  if (report === undefined || verdict === undefined) return;
  const reason = verdict.accepted ? 'accepted' : verdict.reason;
  telemetry.add('graft_reports_total', { reason });
  const place = { ...placeOf(before), round: report.round, agentId: report.agentId };
  traceAgent(before, after, report.agentId, observe);
  if (verdict.accepted) log.info({ ...place, examples: report.exampleCount }, 'an update was accepted');
  else log.warn({ ...place, reason, why: verdict.message }, 'an update was refused');
}

/**
 * An agent's work as the agent told it, from the plan to the answer; its parts are laid end to end from the plan on, because
 * only how long they took is known.
 */
function traceAgent(before: RunState, after: RunState, agentId: string, observe: ObserveRounds): void {
  const { update, answeredAtMs } = after.members[agentId] ?? {};
  if (update === undefined || answeredAtMs === undefined || before.phase !== 'training') return;
  const { telemetry, traceparentOf } = observe;
  const place = { ...placeOf(before), agentId };
  const parent = traceparentOf(place.runId, place.round);
  let startMs = before.phaseStartedAtMs;
  const attributes = { ...place, exampleCount: update.exampleCount, loss: update.loss };
  const whole = telemetry.span('agent work', { parent, startMs, attributes });
  const parts = {
    fetch: update.fetchMs ?? 0,
    features: update.featureMs,
    train: update.trainMs,
    seal: update.sealMs ?? 0,
  };
  for (const [part, ms] of Object.entries(parts)) {
    const endMs = Math.min(startMs + ms, answeredAtMs);
    if (endMs > startMs)
      telemetry.span(`agent ${part}`, { parent: whole, startMs, attributes: place }).end(undefined, endMs);
    startMs = endMs;
  }
  whole.end(undefined, answeredAtMs);
}

function noteDecision(before: RunState, after: RunState, { telemetry, log, traceparentOf }: ObserveRounds): void {
  const outcome = decided(before, after);
  if (outcome === undefined) return;
  telemetry.add('graft_rounds_finished_total', { outcome });
  const agents = membersByState(after);
  for (const [state, count] of Object.entries(agents)) telemetry.add('graft_agent_results_total', { state }, count);
  const place = placeOf(after);
  if (outcome === 'abandoned') {
    log.warn({ ...place, agents, reason: after.abandoned.at(-1)?.reason }, 'a try at a round was abandoned');
    return;
  }
  const { decision, roundStartedAtMs: startMs, phaseStartedAtMs: endMs } = after;
  telemetry.observe('graft_round_seconds', {}, (endMs - startMs) / 1000);
  if (decision !== undefined)
    telemetry.add('graft_gate_decisions_total', { decision: decision.passed ? 'released' : 'kept back' });
  const traceparent = traceparentOf(place.runId, place.round);
  const attributes = { ...place, outcome, taskId: after.plan.taskId, agents: Object.keys(after.members).length };
  telemetry.span('round', { traceparent, startMs, attributes }).end(undefined, endMs);
  log.info({ ...place, agents, seconds: (endMs - startMs) / 1000 }, 'a round was committed');
}

function noteStatus(before: RunState, after: RunState, { log }: ObserveRounds): void {
  if (after.status === before.status && after.reason === before.reason) return;
  const line = { ...placeOf(after), status: after.status, ...(after.reason !== '' && { reason: after.reason }) };
  if (after.status === 'failed') log.error(line, 'a run has failed');
  else if (after.status === 'waiting') log.warn(line, 'a run waits');
  else log.info(line, isOpen(after) ? 'a run goes on' : 'a run is over');
}
