/**
 * Not by chance but one after another: a run of three rounds in which nothing else goes wrong, and the coordinator dies at
 * its n-th store call or its n-th message, or that call fails, before or after it was done, for every n.
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

/** One fault at one place of a run. */
export type Fault = Extract<Op, { op: 'crash' | 'storeFails' }>;

export async function undisturbed(changes: Partial<Config> = {}): Promise<Outcome> {
  return simulate({ seed: 1, config: { ...config, ...changes }, ops: [] });
}

/** Every place at which an undisturbed run can die, and every call of its store that can be refused or lose its answer. */
export function faultsOf({ calls }: Outcome): Fault[] {
  const whens: readonly When[] = ['before', 'after'];
  const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);
  const crashes = (['store', 'transport'] as const).flatMap((at) =>
    upTo(calls[at]).flatMap((nth) => whens.map((when): Fault => ({ op: 'crash', at, nth, when, downMs: 1000 }))),
  );
  const failures = upTo(calls.store).flatMap((nth) =>
    whens.map((when): Fault => ({ op: 'storeFails', nth, when, times: 1 })),
  );
  return [...crashes, ...failures];
}

export function disturbedBy(faults: readonly Fault[], changes: Partial<Config> = {}): Input {
  return { seed: 1, config: { ...config, ...changes }, ops: [...faults, { op: 'advance', ms: 120_000 }] };
}

/** What is wrong with a run that was disturbed, beside the invariants: it must be the one that was not. */
export function differenceFrom(expected: Outcome, found: Outcome): string | undefined {
  if (found.failure !== undefined) return found.failure.message;
  const [sums, wanted] = [JSON.stringify(found.sums), JSON.stringify(expected.sums)];
  if (found.statuses.join() !== 'completed') return `the run is ${found.statuses.join()}`;
  return sums === wanted ? undefined : `the sums are ${sums}, undisturbed they are ${wanted}`;
}
