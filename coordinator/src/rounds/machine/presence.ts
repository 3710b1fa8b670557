/** Who is connected. A member that is away keeps its place for a while: agents and coordinators restart. */
import { membersIn, withMember, type RunState } from './state.js';

/** Notes that an agent is connected; while the updates are awaited, a lost member gets its place back. */
export function noteConnected(state: RunState, agentId: string): RunState {
  const next = { ...state, agents: { ...state.agents, [agentId]: { connected: true } } };
  const member = next.members[agentId];
  if (member === undefined) return next;
  const { lostAtMs: _, ...present } = member;
  const isBack = state.phase === 'training' && present.state === 'lost';
  const back = isBack ? { ...present, state: 'selected' as const } : present;
  return { ...next, members: { ...next.members, [agentId]: back } };
}

/** Notes that an agent's stream has closed. */
export function noteLost(state: RunState, agentId: string, atMs: number): RunState {
  if (state.agents[agentId] === undefined) return state;
  const next = { ...state, agents: { ...state.agents, [agentId]: { connected: false } } };
  return next.members[agentId]?.lostAtMs === undefined ? withMember(next, agentId, { lostAtMs: atMs }) : next;
}

/**
 * The coordinator was away: those who are not connected have been lost since now, not since then,
 * and the deadline moves by the time that nobody could report.
 */
export function noteRestart(state: RunState, connected: readonly string[], atMs: number): RunState {
  const away = Math.max(0, atMs - state.atMs);
  const ids = new Set([...Object.keys(state.agents), ...connected]);
  const agents = Object.fromEntries([...ids].map((id) => [id, { connected: connected.includes(id) }]));
  const members = Object.fromEntries(
    Object.entries(state.members).map(([id, member]) => {
      const { lostAtMs: _, ...present } = member;
      return [id, connected.includes(id) ? present : { ...present, lostAtMs: atMs }];
    }),
  );
  const moved = state.deadlineMs === undefined ? {} : { deadlineMs: state.deadlineMs + away };
  return { ...state, agents, members, ...moved };
}

/** Marks the members that have not answered and were away too long. */
export function markLost(state: RunState, atMs: number): RunState {
  return membersIn(state, 'selected', 'training').reduce((next, id) => {
    const lostAtMs = next.members[id]?.lostAtMs;
    return lostAtMs !== undefined && lostAtMs + next.plan.lostAfterMs <= atMs
      ? withMember(next, id, { state: 'lost' })
      : next;
  }, state);
}

/** When the next member that is awaited and away counts as lost; Infinity where none is. */
export function nextLossMs(state: RunState): number {
  const awaited = Object.values(state.members).filter((member) =>
    state.phase === 'training'
      ? member.state === 'selected' || member.state === 'training'
      : state.phase === 'evaluating' && member.evaluation === 'asked',
  );
  return awaited.reduce(
    (least, { lostAtMs }) => (lostAtMs === undefined ? least : Math.min(least, lostAtMs + state.plan.lostAfterMs)),
    Infinity,
  );
}
