/** Reports of agents that work outside the cohort: decided on as in it, for the round that comes. */
import { acceptedVerdict, refusedVerdict, type Effect, type Outcome } from '../effect.js';
import type { EventOf } from '../event.js';
import { publish } from '../publish.js';
import { refuse } from '../refusals.js';
import { judge } from './quarantine.js';
import { isAtWork, isGivenUp, withCarried, type Member, type RunState } from '../state.js';
import type { RefusalReason } from '../../rounds.js';

/** The entry that a report belongs to; undefined where its agent does no such work outside the cohort. */
function entryOf({ carried }: RunState, { agentId, round }: { agentId: string; round: number }): Member | undefined {
  const member = carried[agentId];
  return member?.round === round ? member : undefined;
}

/** Undefined where the update is not of work outside the cohort. */
export function carriedUpdate(state: RunState, event: EventOf<'updateReceived'>): Outcome | undefined {
  const member = entryOf(state, event);
  if (member === undefined) return undefined;
  const { agentId, update, atMs } = event;
  if (member.update !== undefined) return answerAgain(state, event, member);
  if (event.refusal?.reason === 'incomplete') return refuse(state, agentId, 'incomplete', event.refusal.message);
  const { state: counted, refusal, effects: shut } = judge(state, event);
  const decided = withCarried(counted, agentId, {
    state: refusal === undefined ? 'accepted' : 'refused',
    update,
    answeredAtMs: atMs,
    ...(refusal && { reason: refusal.reason, message: refusal.message }),
  });
  const note = refusal === undefined ? 'update.accepted' : 'update.refused';
  const effects: Effect[] = [
    { kind: 'settle', agentIds: [agentId], work: 'train' },
    publish(decided, note, { agentId, of: event.round, ...(refusal && { ...refusal }) }),
    ...shut,
  ];
  const verdict = refusal === undefined ? acceptedVerdict : refusedVerdict(refusal.reason, refusal.message);
  return { state: decided, effects, verdict };
}

function answerAgain(state: RunState, { agentId, round, update }: EventOf<'updateReceived'>, member: Member): Outcome {
  if (member.update?.nonce !== update.nonce) {
    const message = `agent ${agentId} has an update of round ${round} already: ${member.state}`;
    return refuse(state, agentId, 'duplicate', message);
  }
  if (member.state === 'accepted') return { state, effects: [], verdict: acceptedVerdict };
  return { state, effects: [], verdict: refusedVerdict(member.reason as RefusalReason, member.message ?? '') };
}

/** Undefined where the failure is not of work outside the cohort. */
export function carriedFailure(state: RunState, event: EventOf<'failureReported'>): Outcome | undefined {
  const member = entryOf(state, event);
  if (member === undefined) return undefined;
  const { agentId, code, message, atMs } = event;
  if (!isAtWork(member) && !isGivenUp(member)) return { state, effects: [], verdict: acceptedVerdict };
  const failed = withCarried(state, agentId, { state: 'failed', reason: code, message, answeredAtMs: atMs });
  const effects: Effect[] = [
    { kind: 'settle', agentIds: [agentId], work: 'train' },
    publish(failed, 'agent.failed', { agentId, code, message }),
  ];
  return { state: failed, effects, verdict: acceptedVerdict };
}
