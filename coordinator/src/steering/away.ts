/** How long an idle agent can be done without: by each open run, pace steering, and never longer than the operator lets it. Pure. */
import { random, seedFrom } from '@graft/core/random';
import { comeBackMs } from '@graft/strategies/pace-steering';

import { isEligible } from '../rounds/machine/policy/choose.js';
import type { RunState } from '../rounds/machine/state.js';

/** An open run, and how long its rounds take, milliseconds. */
export interface PacedRun {
  readonly machine: RunState;
  readonly roundMs: number;
}

export interface Idle {
  readonly agentId: string;
  /** Agents that are let in. */
  readonly population: number;
  readonly longestAwayMs: number;
  readonly atMs: number;
}

/** Gone for less than this saves nothing: a new connection costs a TLS handshake at both ends. */
export const leastAwayMs = 1_000;

/** Milliseconds that every open run can do without an idle agent; 0 where one wants it soon. */
export function awayMs(runs: readonly PacedRun[], idle: Idle): number {
  const { agentId, longestAwayMs, atMs } = idle;
  const concerned = runs.filter(({ machine }) => isEligible(machine, agentId));
  // Half of the longest time to all of it: those who leave together do not come back together.
  const chance = random(seedFrom('away', agentId, atMs)).next();
  const longest = Math.round(longestAwayMs * (0.5 + chance / 2));
  const away = concerned.reduce((least, run) => Math.min(least, awayFrom(run, idle)), longest);
  return away < leastAwayMs ? 0 : away;
}

function awayFrom({ machine, roundMs }: PacedRun, { agentId, population, atMs }: Idle): number {
  const { members, carried, phase, plan, round } = machine;
  // Who takes part in the round in hand is wanted for its measures, and for the next round's choice.
  if (members[agentId] !== undefined || carried[agentId] !== undefined) return 0;
  // A round that gathers its agents needs whoever is here.
  if (phase === 'selecting' || phase === 'abandoned') return 0;
  const nextRoundAtMs = round < plan.rounds ? machine.roundStartedAtMs + roundMs : Infinity;
  const seed = seedFrom('pace', agentId, plan.runId, round, atMs);
  return comeBackMs({ population, wanted: plan.cohort.max, roundMs, nextRoundAtMs, atMs, seed });
}
