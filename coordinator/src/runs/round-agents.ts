/** The agents of a round: who took part, and what those that work on it said last. */
import type { AgentView } from '../agents/agent-view.js';
import type { RoundAgent, RoundView } from './run-view.js';

/** Ids of all agents that the round's record names. */
export function agentsOf({ record }: Pick<RoundView, 'record'>): string[] {
  return Object.keys(Object(record['agents']) as object);
}

/** What an agent says of another round is none of this one's. */
export function roundAgent({ runId, round }: RoundView, { id, name, connected, activity }: AgentView): RoundAgent {
  const known = { id, name, connected };
  if (activity === undefined || activity.runId !== runId || activity.round !== round) return known;
  const { progress, loss, atMs } = activity;
  return { ...known, activity: activity.activity, progress, loss, saidAtMs: atMs };
}
