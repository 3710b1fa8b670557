/**
 * Not by chance but one after another: a run of three rounds in which nothing else goes wrong, and the coordinator dies at
 * its n-th store call or its n-th message, before or after it, for every n; and at every pair of them, in a coarser step.
 */
import type { Config, Input, Op, When } from './input.js';
import { simulate, type Outcome } from './simulate.js';

const config: Config = {
  kind: 'fit',
  store: 'memory',
  agents: 3,
  rounds: 3,
  cohort: { min: 2, goal: 3, max: 3 },
  windowMs: 600_000,
  settings: { lostAfterMs: 300_000, gatherMs: 60_000 },
  task: {},
  networkMs: 5,
  storeMs: 5,
  trainMs: 2000,
  lossRate: 0,
};

export type At = 'store' | 'transport';

export interface CrashPoint {
  readonly at: At;
  readonly nth: number;
  readonly when: When;
}

export async function undisturbed(changes: Partial<Config> = {}): Promise<Outcome> {
  return simulate({ seed: 1, config: { ...config, ...changes }, ops: [] });
}

/** Every place at which an undisturbed run can die. */
export function crashPoints({ calls }: Outcome): CrashPoint[] {
  const whens: readonly When[] = ['before', 'after'];
  return (['store', 'transport'] as const).flatMap((at) =>
    Array.from({ length: calls[at] }, (_, index) => index + 1).flatMap((nth) =>
      whens.map((when) => ({ at, nth, when })),
    ),
  );
}

export function dyingAt(points: readonly CrashPoint[], changes: Partial<Config> = {}): Input {
  const ops = points.map((point): Op => ({ op: 'crash', ...point, downMs: 1000 }));
  return { seed: 1, config: { ...config, ...changes }, ops: [...ops, { op: 'advance', ms: 120_000 }] };
}

/** What is wrong with a run that died and came back, beside the invariants: it must be the one that was not disturbed. */
export function differenceFrom(expected: Outcome, found: Outcome): string | undefined {
  if (found.failure !== undefined) return found.failure.message;
  const [sums, wanted] = [JSON.stringify(found.sums), JSON.stringify(expected.sums)];
  if (found.statuses.join() !== 'completed') return `the run is ${found.statuses.join()}`;
  return sums === wanted ? undefined : `the sums are ${sums}, undisturbed they are ${wanted}`;
}
