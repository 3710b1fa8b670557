/**
 * Training: the plans are out, updates come in. The phase closes at the goal, or once everyone has answered,
 * or at the deadline with at least the minimum; otherwise the try is abandoned. Rounds of one length close at their deadline.
 * Where the policy lets work outlive its round, the close cancels nobody and free agents are asked all the time.
 */
import { acceptedVerdict, refusedVerdict, type Effect, type Outcome } from '../machine/effect.js';
import { publish } from '../machine/publish.js';
import type { EventOf } from '../machine/event.js';
import { checkNorm, normLimit } from '../machine/norm.js';
import { fill, planDeadlineMs, sendPlans } from '../machine/policy/ask.js';
import { carriedFailure, carriedUpdate } from '../machine/policy/carried-reports.js';
import { carryOn } from '../machine/policy/carry.js';
import { laterDeadlineMs, spanMs } from '../machine/policy/deadline.js';
import { judge, noteRefusal } from '../machine/policy/quarantine.js';
import { carriesOver, roundOf } from '../machine/policy/staleness.js';
import { markLost, noteConnected, noteLost, notePaused, noteRestart } from '../machine/presence.js';
import { refuse } from '../machine/refusals.js';
import { refuseUnasked, repeatedUpdate } from '../machine/reports.js';
import { membersIn, withCarried, withMember, type RunState } from '../machine/state.js';

/** The cohort is the state's members; who is `selected` and has no plan gets one. */
function enter(state: RunState, atMs: number): Outcome {
  const begun = { ...state, deadlineMs: atMs + spanMs(state), extensionsUsed: 0 };
  const sent = sendPlans(begun, atMs);
  const agents = Object.keys(state.members).length;
  const step = proceed(sent.state, atMs);
  return { ...step, effects: [...sent.effects, publish(state, 'round.training', { agents }), ...step.effects] };
}

/** Updates of earlier plans may have filled the buffer already; free agents are asked where the policy says so. */
function proceed(state: RunState, atMs: number): Outcome {
  const filled = fill(state, atMs);
  const step = decide(filled.state, atMs);
  return { ...step, effects: [...filled.effects, ...step.effects] };
}

const on = {
  restarted: (state: RunState, event: EventOf<'restarted'>): Outcome =>
    postpone(proceed(noteRestart(state, event), event.atMs)),
  agentConnected: (state: RunState, event: EventOf<'agentConnected'>): Outcome =>
    fill(noteConnected(state, event.agentId, event.traits), event.atMs),
  agentLost: (state: RunState, event: EventOf<'agentLost'>): Outcome => ({
    state: noteLost(state, event.agentId, event.atMs),
    effects: [],
  }),
  agentPaused: (state: RunState, event: EventOf<'agentPaused'>): Outcome => ({
    state: notePaused(state, event),
    effects: [],
  }),
  progressed: (state: RunState, event: EventOf<'progressed'>): Outcome => ({
    state: noteProgress(state, event.agentId, event.round),
    effects: [],
  }),
  updateReceived: (state: RunState, event: EventOf<'updateReceived'>): Outcome =>
    carriedUpdate(state, event) ?? receive(state, event),
  failureReported: (state: RunState, event: EventOf<'failureReported'>): Outcome =>
    carriedFailure(state, event) ?? fail(state, event),
  timePassed: (state: RunState, event: EventOf<'timePassed'>): Outcome => {
    const filled = fill(markLost(state, event.atMs), event.atMs);
    const step = decide(filled.state, event.atMs, event.active);
    return { ...step, effects: [...filled.effects, ...step.effects] };
  },
};

/** An agent has begun. A heartbeat that names another round than its plan is of an earlier try. */
function noteProgress(state: RunState, agentId: string, round: number): RunState {
  const carried = state.carried[agentId];
  if (carried?.state === 'selected' && carried.round === round) {
    return withCarried(state, agentId, { state: 'training' });
  }
  const member = state.members[agentId];
  const isOwn = member?.state === 'selected' && (member.round ?? state.round) === round;
  return isOwn ? withMember(state, agentId, { state: 'training' }) : state;
}

function receive(state: RunState, event: EventOf<'updateReceived'>): Outcome {
  const { agentId, update, atMs } = event;
  const settled = repeatedUpdate(state, event) ?? refuseUnasked(state, event);
  if (settled !== undefined) return settled;
  const member = state.members[agentId];
  if (member?.update !== undefined) {
    const message = `agent ${agentId} has an update in round ${state.round} already: ${member.state}`;
    return refuse(state, agentId, 'duplicate', message);
  }
  // An upload that is not whole yet is no answer: the agent finishes it and reports again.
  if (event.refusal?.reason === 'incomplete') return refuse(state, agentId, 'incomplete', event.refusal.message);
  const { state: counted, refusal, effects: shut } = judge(state, event);
  const decided = withMember(counted, agentId, {
    state: refusal === undefined ? 'accepted' : 'refused',
    update,
    answeredAtMs: atMs,
    ...(refusal && { reason: refusal.reason, message: refusal.message }),
  });
  const note = refusal === undefined ? 'update.accepted' : 'update.refused';
  const effects: Effect[] = [
    { kind: 'settle', agentIds: [agentId], work: 'train' },
    publish(decided, note, { agentId, ...(refusal && { reason: refusal.reason, message: refusal.message }) }),
    ...shut,
  ];
  const verdict = refusal === undefined ? acceptedVerdict : refusedVerdict(refusal.reason, refusal.message);
  const step = proceed(decided, atMs);
  return { ...step, effects: [...effects, ...step.effects], verdict };
}

function fail(state: RunState, event: EventOf<'failureReported'>): Outcome {
  const stranger = refuseUnasked(state, event);
  if (stranger !== undefined) return stranger;
  const { agentId, code, message, atMs } = event;
  const member = state.members[agentId];
  if (member?.state === 'failed') return { state, effects: [], verdict: acceptedVerdict };
  if (member?.update !== undefined) {
    return refuse(state, agentId, 'duplicate', `agent ${agentId} has an update in round ${state.round} already`);
  }
  const failed = withMember(state, agentId, { state: 'failed', reason: code, message, answeredAtMs: atMs });
  const effects: Effect[] = [
    { kind: 'settle', agentIds: [agentId], work: 'train' },
    publish(failed, 'agent.failed', { agentId, code, message }),
  ];
  const step = proceed(failed, atMs);
  return { ...step, effects: [...effects, ...step.effects], verdict: acceptedVerdict };
}

function decide(state: RunState, atMs: number, active: readonly string[] = []): Outcome {
  const { cohort, window, extensions, policy } = state.plan;
  const accepted = membersIn(state, 'accepted').length;
  const awaited = membersIn(state, 'selected', 'training');
  if (awaited.length === 0) return accepted >= cohort.min ? close(state, atMs) : abandon(state);
  const closesAtGoal = policy.kind !== 'semiSynchronous';
  if (closesAtGoal && accepted >= cohort.goal && atMs >= state.phaseStartedAtMs + window.minMs)
    return close(state, atMs);
  if (state.deadlineMs === undefined || atMs < state.deadlineMs) return { state, effects: [] };
  const later = laterDeadlineMs(state, atMs, active);
  if (later !== undefined) {
    const extended = { ...state, deadlineMs: later };
    return { state: extended, effects: [publish(extended, 'round.extended', { awaited: awaited.length })] };
  }
  if (accepted >= cohort.min) return close(state, atMs);
  if (state.extensionsUsed < extensions && awaited.some((id) => active.includes(id))) {
    const extended = { ...state, extensionsUsed: state.extensionsUsed + 1, deadlineMs: atMs + window.maxMs / 2 };
    return { state: extended, effects: [publish(extended, 'round.extended', { awaited: awaited.length })] };
  }
  return abandon(state);
}

/** Who still works for the round must know that its deadline has moved: an agent does not start what is over. */
function postpone(outcome: Outcome): Outcome {
  const { state } = outcome;
  const agentIds = membersIn(state, 'selected', 'training', 'lost', 'paused');
  if (outcome.goto !== undefined || agentIds.length === 0 || state.deadlineMs === undefined) return outcome;
  const deadlineMs = planDeadlineMs(state, state.atMs);
  const effect: Effect = { kind: 'postpone', agentIds, work: 'train', deadlineMs };
  return { ...outcome, effects: [...outcome.effects, effect] };
}

/**
 * Norms are held against each other once more when all are in: the first to arrive had nothing to be compared with,
 * and arrival must not decide what is folded.
 */
function close(all: RunState, atMs: number): Outcome {
  const { state, effects } = refuseOutliers(all, atMs);
  if (membersIn(state, 'accepted').length < state.plan.cohort.min) return { ...abandon(state), effects };
  if (carriesOver(state.plan)) return { state: carryOn(state), effects, goto: 'aggregating' };
  const stragglers = membersIn(state, 'selected', 'training');
  const marked = stragglers.reduce((next, id) => withMember(next, id, { state: 'straggler' }), state);
  const unwanted = [...stragglers, ...membersIn(state, 'lost', 'paused')].sort();
  const reason = `round ${state.round} has closed with ${membersIn(state, 'accepted').length} updates`;
  const cancel: Effect[] = unwanted.length > 0 ? [{ kind: 'cancel', agentIds: unwanted, reason }] : [];
  return { state: marked, effects: [...effects, ...cancel], goto: 'aggregating' };
}

function refuseOutliers(
  all: RunState,
  atMs: number,
): { readonly state: RunState; readonly effects: readonly Effect[] } {
  const limit = normLimit(all);
  const effects: Effect[] = [];
  const state = membersIn(all, 'accepted').reduce((next, id) => {
    const member = all.members[id];
    const found = checkNorm(member?.update?.norm ?? 0, limit);
    if (member === undefined || found === undefined) return next;
    const judged = noteRefusal(next, id, found, { round: roundOf(all, member), atMs });
    effects.push(...judged.effects);
    return withMember(judged.state, id, { state: 'refused', ...judged.refusal });
  }, all);
  return { state, effects };
}

function abandon(state: RunState): Outcome {
  const counts = (['accepted', 'refused', 'failed', 'lost', 'paused'] as const)
    .map((name) => [name, membersIn(state, name).length] as const)
    .filter(([name, count]) => count > 0 || name !== 'paused')
    .map(([name, count]) => `${count} ${name}`);
  const silent = membersIn(state, 'selected', 'training').length;
  const asked = Object.keys(state.members).length;
  const reason = `${asked} agents were asked, ${state.plan.cohort.min} updates were needed: ${counts.join(', ')}, ${silent} silent`;
  return { state: { ...state, reason }, effects: [], goto: 'abandoned' };
}

export const training = { enter, on };
