/** What agents said last of their work. In memory only: a restart loses nothing but a little patience. */
import type { Heartbeat } from './rounds.js';

export interface Activity extends Heartbeat {
  /** When it was heard, and when it last told of progress. */
  readonly atMs: number;
  readonly movedAtMs: number;
}

export interface ActivityLog {
  note(agentId: string, heartbeat: Heartbeat, atMs: number): void;
  forget(agentId: string): void;
  all(): ReadonlyMap<string, Activity>;
  /** Agents that told of progress at most `withinMs` ago: silence and standing still extend nothing. */
  active(atMs: number, withinMs: number): string[];
}

export function activityLog(): ActivityLog {
  const agents = new Map<string, Activity>();
  return {
    note: (agentId, heartbeat, atMs) => {
      const before = agents.get(agentId);
      const moved =
        before === undefined ||
        before.runId !== heartbeat.runId ||
        before.round !== heartbeat.round ||
        before.activity !== heartbeat.activity ||
        heartbeat.progress > before.progress;
      agents.set(agentId, { ...heartbeat, atMs, movedAtMs: moved ? atMs : before.movedAtMs });
    },
    forget: (agentId) => void agents.delete(agentId),
    all: () => agents,
    active: (atMs, withinMs) =>
      [...agents]
        .filter(([, { movedAtMs }]) => atMs - movedAtMs <= withinMs)
        .map(([id]) => id)
        .sort(),
  };
}
