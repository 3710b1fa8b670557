/**
 * The machine of a run: `step(state, event) -> {state, effects}`, pure and total. Persist what it returns before
 * performing any of it: whoever is killed in between loads the state and performs the effects again.
 *
 *   selecting -> training -> aggregating -> quantizing -> evaluating -> committed -> selecting (next round) | completed
 *   training, aggregating -> abandoned -> selecting (next try) | failed
 */
import { refusedVerdict, type Outcome, type Step } from './effect.js';
import type { EventKind, EventOf, RunEvent } from './event.js';
import { nextLossMs } from './presence.js';
import { cancelWork } from './policy/cancel-work.js';
import { noMemory } from './policy/memory.js';
import { endQuarantines, nextReturnMs } from './policy/quarantine.js';
import { publish } from './publish.js';
import { isOpen, type Checkpoint, type Phase, type ReleasedMeasures, type RunPlan, type RunState } from './state.js';
import { transitions } from './transitions.js';

/** A run before its first event, which must be `started`. */
export function newRun(
  plan: RunPlan,
  base: Checkpoint,
  options: { readonly atMs: number; readonly released?: ReleasedMeasures },
): RunState {
  return {
    plan,
    status: 'running',
    reason: '',
    atMs: options.atMs,
    round: 1,
    attempt: 1,
    phase: 'selecting',
    roundStartedAtMs: options.atMs,
    phaseStartedAtMs: options.atMs,
    extensionsUsed: 0,
    phaseMs: {},
    base,
    agents: {},
    members: {},
    carried: {},
    earlierBases: {},
    memory: noMemory,
    refusals: {},
    abandoned: [],
    committedRounds: 0,
    ...(options.released && { released: options.released }),
  };
}

/** The next state and what it asks for. Never throws, whatever an agent reported. */
export function step(state: RunState, event: RunEvent): Step {
  if (!isOpen(state)) return closedRun(state, event);
  if (event.kind === 'stopRequested') return stop(state, event);
  if ('attempt' in event && (event.round !== state.round || event.attempt !== state.attempt)) {
    return { state, effects: [] };
  }
  // That work has begun is kept in memory alone: such a step must not change what is stored.
  const now = event.kind === 'progressed' ? state : endQuarantines(state, event.atMs);
  const first = dispatch(now, event);
  let { state: next, goto: target } = first;
  const effects = [...first.effects];
  while (target !== undefined) {
    if (!transitions[next.phase].next.includes(target)) {
      throw new Error(`the table has no step from ${next.phase} to ${target}, asked for by ${event.kind}`);
    }
    const outcome = transitions[target].enter(inPhase(next, target, event.atMs), event.atMs);
    effects.push(...outcome.effects);
    ({ state: next, goto: target } = outcome);
  }
  const atMs = Math.max(state.atMs, event.atMs);
  return { state: { ...next, atMs }, effects, ...(first.verdict && { verdict: first.verdict }) };
}

/** The state in `phase` since `atMs`: its clock starts, the time spent in the phase before is added up. */
function inPhase(state: RunState, phase: Phase, atMs: number): RunState {
  const { deadlineMs: _, ...rest } = state;
  const spent = (state.phaseMs[state.phase] ?? 0) + Math.max(0, atMs - state.phaseStartedAtMs);
  // A new round has spent no time yet: what came before it belongs to the round before.
  const phaseMs = state.phase === 'committed' ? {} : { ...state.phaseMs, [state.phase]: spent };
  return { ...rest, phase, phaseStartedAtMs: atMs, phaseMs };
}

/** When `timePassed` is due; undefined where the state waits for no time. */
export function wakeAtMs(state: RunState): number | undefined {
  if (!isOpen(state)) return undefined;
  const least = Math.min(state.deadlineMs ?? Infinity, goalCloseMs(state), nextLossMs(state), nextReturnMs(state));
  return least === Infinity ? undefined : least;
}

/** When a goal that was reached before `minMs` closes the training; Infinity where it was not. */
function goalCloseMs(state: RunState): number {
  if (state.phase !== 'training' || state.plan.policy.kind === 'semiSynchronous') return Infinity;
  const accepted = Object.values(state.members).filter((member) => member.state === 'accepted').length;
  return accepted >= state.plan.cohort.goal ? state.phaseStartedAtMs + state.plan.window.minMs : Infinity;
}

function dispatch<K extends EventKind>(state: RunState, event: EventOf<K>): Outcome {
  const handle = transitions[state.phase].on[event.kind];
  return handle === undefined ? { state, effects: [] } : handle(state, event);
}

function stop(state: RunState, event: EventOf<'stopRequested'>): Step {
  const stopped: RunState = { ...state, status: 'stopped', reason: event.reason, atMs: event.atMs };
  const reason = `run ${state.plan.runId} was stopped: ${event.reason}`;
  return {
    state: stopped,
    effects: [
      ...cancelWork(state, state.members, reason),
      ...cancelWork(state, state.carried, reason),
      publish(stopped, 'run.stopped', { reason: event.reason }),
    ],
  };
}

function closedRun(state: RunState, event: RunEvent): Step {
  const isReport =
    event.kind === 'updateReceived' || event.kind === 'failureReported' || event.kind === 'evaluationReported';
  if (!isReport) return { state, effects: [] };
  const message = `run ${state.plan.runId} is over: ${state.status}`;
  return { state, effects: [], verdict: refusedVerdict('late', message) };
}
