/** Who is connected. A member that is away keeps its place for a while: agents and coordinators restart. */
import type { AgentTraits, TraitsById } from './event.js';
import { conductOf } from './policy/quarantine.js';
import { isAtWork, isGivenUp, membersIn, withMember, type KnownAgent, type Member, type RunState } from './state.js';

/** Notes that an agent is connected; while its update is awaited, a lost member gets its place back. */
export function noteConnected(state: RunState, agentId: string, traits?: AgentTraits): RunState {
  const known = knownAgent(state, agentId, { connected: true, traits });
  const { [agentId]: member } = state.members;
  const { [agentId]: carried } = state.carried;
  const wasHere = member?.lostAtMs === undefined && carried?.lostAtMs === undefined;
  // Told again without news, nothing has happened.
  if (wasHere && JSON.stringify(known) === JSON.stringify(state.agents[agentId])) return state;
  const agents = { ...state.agents, [agentId]: known };
  return {
    ...state,
    agents,
    ...(member && { members: { ...state.members, [agentId]: present(member, state.phase === 'training') } }),
    ...(carried && { carried: { ...state.carried, [agentId]: present(carried, true) } }),
  };
}

/** Of what is said of an agent, what this run goes by: its state is stored with every event, and agents are many. */
function knownAgent(
  { agents, plan }: RunState,
  agentId: string,
  { connected, traits }: { readonly connected: boolean; readonly traits: AgentTraits | undefined },
): KnownAgent {
  if (traits === undefined) {
    const before: Partial<KnownAgent> = agents[agentId] ?? {};
    const { paused: _, ...known } = before;
    return { ...known, connected };
  }
  const { name, tags = [], declinedTasks = [] } = traits;
  const wanted = plan.selection.tags.filter((tag) => tags.includes(tag));
  const declines = plan.taskName !== undefined && declinedTasks.includes(plan.taskName);
  return {
    connected,
    ...(name !== undefined && { name }),
    ...(wanted.length > 0 && { tags: wanted }),
    ...(declines && { declines }),
    ...conductOf(agents[agentId], traits.quarantines?.[plan.taskId]),
  };
}

function present(member: Member, isAwaited: boolean): Member {
  const { lostAtMs: _, ...here } = member;
  if (!isAwaited || !isGivenUp(here)) return here;
  const { paused: __, ...again } = here;
  return { ...again, state: 'selected' };
}

/** Notes that an agent's stream has closed. */
export function noteLost(state: RunState, agentId: string, atMs: number): RunState {
  const before: Partial<KnownAgent> = state.agents[agentId] ?? {};
  const { paused: _, ...known } = before;
  return noteAway(state, { agentId, atMs, known });
}

/** Notes that an agent's site takes no work, whether it works on this round or not. */
export function notePaused(
  state: RunState,
  { agentId, reason, atMs }: { readonly agentId: string; readonly reason: string; readonly atMs: number },
): RunState {
  return noteAway(state, { agentId, atMs, known: { ...state.agents[agentId], paused: reason } });
}

interface Away {
  readonly agentId: string;
  readonly atMs: number;
  readonly known: Omit<KnownAgent, 'connected'>;
}

function noteAway(state: RunState, { agentId, atMs, known }: Away): RunState {
  if (state.agents[agentId] === undefined) return state;
  const { [agentId]: member } = state.members;
  const { [agentId]: carried } = state.carried;
  return {
    ...state,
    agents: { ...state.agents, [agentId]: { ...known, connected: false } },
    ...(member && { members: { ...state.members, [agentId]: away(member, atMs) } }),
    ...(carried && { carried: { ...state.carried, [agentId]: away(carried, atMs) } }),
  };
}

function away(member: Member, atMs: number): Member {
  return member.lostAtMs === undefined ? { ...member, lostAtMs: atMs } : member;
}

/**
 * The coordinator was away: those who are not connected have been lost since now, not since then,
 * and the deadline moves by the time that nobody could report.
 */
export function noteRestart(
  state: RunState,
  {
    connected,
    traits = {},
    atMs,
  }: { readonly connected: readonly string[]; readonly traits?: TraitsById; readonly atMs: number },
): RunState {
  const absent = Math.max(0, atMs - state.atMs);
  const here = new Set(connected);
  const ids = new Set([...Object.keys(state.agents), ...connected]);
  const agents = Object.fromEntries(
    [...ids].map((id) => [id, knownAgent(state, id, { connected: here.has(id), traits: traits[id] })]),
  );
  const since = (members: RunState['members']): RunState['members'] =>
    Object.fromEntries(
      Object.entries(members).map(([id, member]) => {
        const { lostAtMs: _, ...rest } = member;
        return [id, here.has(id) ? rest : { ...rest, lostAtMs: atMs }];
      }),
    );
  const moved = state.deadlineMs === undefined ? {} : { deadlineMs: state.deadlineMs + absent };
  return { ...state, agents, members: since(state.members), carried: since(state.carried), ...moved };
}

/** Marks the members that have not answered and were away or paused too long. */
export function markLost(state: RunState, atMs: number): RunState {
  return membersIn(state, 'selected', 'training').reduce((next, id) => {
    const lostAtMs = next.members[id]?.lostAtMs;
    if (lostAtMs === undefined || lostAtMs + next.plan.lostAfterMs > atMs) return next;
    const paused = next.agents[id]?.paused;
    return withMember(next, id, paused === undefined ? { state: 'lost' } : { state: 'paused', paused });
  }, state);
}

/** When the next member that is awaited and away counts as lost; Infinity where none is. */
export function nextLossMs(state: RunState): number {
  const awaited = Object.values(state.members).filter((member) =>
    state.phase === 'training' ? isAtWork(member) : state.phase === 'evaluating' && member.evaluation === 'asked',
  );
  return awaited.reduce(
    (least, { lostAtMs }) => (lostAtMs === undefined ? least : Math.min(least, lostAtMs + state.plan.lostAfterMs)),
    Infinity,
  );
}
