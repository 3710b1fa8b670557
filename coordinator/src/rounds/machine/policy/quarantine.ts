/**
 * Quarantine: an agent whose updates are refused again and again for a reason that speaks of harm or fault is not asked for its task
 * for a time, or until its operator lets it back. The time doubles with each repeat. Being slow, away or behind is no fault.
 *
 * A round counts once, however often it is tried. What an agent did is remembered from its first fault on, and forgotten
 * once its last rounds are free of any.
 */
import type { RefusalReason } from '../../rounds.js';
import type { Effect } from '../effect.js';
import type { EventOf, Refusal } from '../event.js';
import { publish } from '../publish.js';
import { refuse } from '../refusals.js';
import { connectedAgents, membersIn, type KnownAgent, type RunState } from '../state.js';
import { roundOf } from './staleness.js';

/** A standing of an agent in one task. Of two, the newer holds; see `newer`. */
export interface Quarantine {
  readonly reason: string;
  readonly sinceMs: number;
  /** When it ends by itself. */
  readonly untilMs: number;
  /** Which one in a row this is, from 1; the operator's release begins a new row. */
  readonly times: number;
  /** When it has ended; before `untilMs` where the operator let the agent back. */
  readonly releasedAtMs?: number;
}

/** What an agent did in its last rounds. */
export interface Conduct {
  /** Since its last quarantine, the newest last: 'x' for a fault, '.' for an update that was taken. */
  readonly marks: string;
  /** The round of the last mark, or that it was quarantined in. */
  readonly round: number;
}

/** The time in quarantine doubles with each repeat, so often at most. */
const mostDoublings = 6;

const faults: ReadonlySet<RefusalReason> = new Set<RefusalReason>([
  'not-finite',
  'norm',
  'bad-envelope',
  'bad-signature',
  'bad-layout',
  'example-count',
  'size',
  'malformed',
]);

/** True where a refusal speaks of harm or fault, and not of time. */
export function isFault(reason: RefusalReason): boolean {
  return faults.has(reason);
}

export function isQuarantined(state: RunState, agentId: string): boolean {
  const standing = state.agents[agentId]?.quarantine;
  return standing !== undefined && standing.releasedAtMs === undefined && state.atMs < standing.untilMs;
}

/** Connected agents that are left out, in canonical order. */
export function quarantinedAgents(state: RunState): string[] {
  return connectedAgents(state).filter((id) => isQuarantined(state, id));
}

/** The later one of what a run knows and what is stored; whichever order they come in, the answer is the same. */
export function newer(a: Quarantine | undefined, b: Quarantine | undefined): Quarantine | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  if (a.sinceMs !== b.sinceMs) return a.sinceMs > b.sinceMs ? a : b;
  return (b.releasedAtMs ?? -1) > (a.releasedAtMs ?? -1) ? b : a;
}

/** What a run keeps of an agent's conduct when it hears of the agent again. */
export function conductOf(
  known: KnownAgent | undefined,
  stored: Quarantine | undefined,
): Pick<KnownAgent, 'conduct' | 'quarantine'> {
  const quarantine = newer(known?.quarantine, stored);
  return {
    ...(known?.conduct !== undefined && { conduct: known.conduct }),
    ...(quarantine && { quarantine }),
  };
}

interface Judged {
  readonly state: RunState;
  readonly effects: readonly Effect[];
  /** The refusal with what follows from it for the agent; absent where the update is taken. */
  readonly refusal?: Refusal;
}

/** Counts the refusal of an update that was asked for, where it is refused, and says it with what follows for the agent. */
export function judge(state: RunState, event: EventOf<'updateReceived'>): Judged {
  const { agentId, round, refusal, atMs } = event;
  if (refusal === undefined) return { state, effects: [] };
  return noteRefusal(state, agentId, refusal, { round, atMs });
}

/** Counts a refused update. Enough faults in the agent's last rounds, and it is quarantined. */
export function noteRefusal(
  before: RunState,
  agentId: string,
  refusal: Refusal,
  { round, atMs }: { readonly round: number; readonly atMs: number },
): Judged {
  const { state } = refuse(before, agentId, refusal.reason, refusal.message);
  const rule = state.plan.limits.quarantine;
  const known = state.agents[agentId];
  const counts = rule !== undefined && rule.refusals > 0 && isFault(refusal.reason) && !isQuarantined(state, agentId);
  if (!counts || known === undefined) return { state, effects: [], refusal };
  const conduct = marked(known.conduct, 'x', round, rule.rounds);
  const count = conduct.marks.split('x').length - 1;
  if (count < rule.refusals) return { state: withKnown(state, agentId, { ...known, conduct }), effects: [], refusal };
  const reason = `its updates were refused in ${count} of its last ${conduct.marks.length} rounds, the last time for ${refusal.reason}`;
  const quarantine = nextQuarantine(known.quarantine, { reason, atMs, forMs: rule.forMs });
  const next = withKnown(state, agentId, { ...known, conduct: { marks: '', round }, quarantine });
  const { untilMs } = quarantine;
  const data = { agentId, reason: refusal.reason, message: reason, untilMs };
  const told = `; ${reason}: it is in quarantine for this task until ${timeOf(untilMs)}; mend the cause; the operator lets it back sooner with: graft site release ${known.name ?? agentId}`;
  return {
    state: next,
    effects: [{ kind: 'quarantine', agentId, quarantine }, publish(next, 'agent.quarantined', data)],
    refusal: { ...refusal, message: `${refusal.message}${told}` },
  };
}

/** A round counts once: a fault in it outweighs what was taken, and nothing is counted twice. */
function marked(before: Conduct | undefined, mark: 'x' | '.', round: number, most: number): Conduct {
  const { marks = '', round: last = 0 } = before ?? {};
  const isCounted = last === round && !marks.endsWith('.');
  return isCounted ? { marks, round } : { marks: `${marks}${mark}`.slice(-most), round };
}

function nextQuarantine(
  before: Quarantine | undefined,
  { reason, atMs, forMs }: { readonly reason: string; readonly atMs: number; readonly forMs: number },
): Quarantine {
  const sinceMs = Math.max(atMs, (before?.sinceMs ?? -1) + 1);
  const wasLetBack = before?.releasedAtMs !== undefined && before.releasedAtMs < before.untilMs;
  const times = before === undefined || wasLetBack ? 1 : before.times + 1;
  return { reason, sinceMs, untilMs: sinceMs + forMs * 2 ** Math.min(times - 1, mostDoublings), times };
}

/** A moment for people, to the second. */
export function timeOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** A round is committed: it counts in favour of those whose update it took, where there is something to outweigh. */
export function noteGoodRounds(state: RunState): RunState {
  const { limits } = state.plan;
  return membersIn(state, 'accepted').reduce((next, id) => {
    const [known, member] = [next.agents[id], next.members[id]];
    if (known?.conduct === undefined || member === undefined || limits.quarantine === undefined) return next;
    const { conduct: before, ...rest } = known;
    const conduct = marked(before, '.', roundOf(state, member), limits.quarantine.rounds);
    return withKnown(next, id, conduct.marks.includes('x') ? { ...rest, conduct } : rest);
  }, state);
}

/** Those whose time is over are back. The same state where nobody is. */
export function endQuarantines(state: RunState, atMs: number): RunState {
  return Object.entries(state.agents).reduce((next, [id, known]) => {
    const { quarantine } = known;
    if (quarantine === undefined || quarantine.releasedAtMs !== undefined || atMs < quarantine.untilMs) return next;
    return withKnown(next, id, { ...known, quarantine: { ...quarantine, releasedAtMs: quarantine.untilMs } });
  }, state);
}

/** When the next agent is back by itself, where a round waits for agents; Infinity otherwise. */
export function nextReturnMs(state: RunState): number {
  if (state.phase !== 'selecting') return Infinity;
  return Object.values(state.agents).reduce((least, { connected, quarantine }) => {
    const isAwaited = connected && quarantine !== undefined && quarantine.releasedAtMs === undefined;
    return isAwaited ? Math.min(least, quarantine.untilMs) : least;
  }, Infinity);
}

function withKnown(state: RunState, agentId: string, known: KnownAgent): RunState {
  return { ...state, agents: { ...state.agents, [agentId]: known } };
}
