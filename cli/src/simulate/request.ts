/** The flags of `graft simulate` as a request of the simulating process, which checks it whole. */
import { GraftError } from '@graft/core/error';

import { cohortOf, digitsTask, hidden } from './preset.js';

export interface SimulateOptions {
  readonly agents?: number;
  readonly rounds?: number;
  readonly preset: string;
  readonly trace: string;
  readonly policy?: string;
  readonly compare?: string;
  readonly goal?: number;
  readonly alpha: number;
  readonly days: number;
  readonly processes?: number;
  readonly seed: number;
}

const builtInTraces = ['phones', 'hospitals'];
const policyKinds = ['synchronous', 'bufferedAsynchronous', 'semiSynchronous'];
const usualAgents = 1000;
const dayMs = 24 * 3_600_000;

export interface SimulationRequest {
  readonly agents?: number;
  readonly rounds: number;
  readonly seed: number;
  readonly trace: { readonly builtIn: string } | { readonly file: string };
  readonly task: { readonly kind?: unknown; readonly rounds?: unknown; readonly policy?: unknown };
  readonly policies: readonly unknown[];
  readonly [field: string]: unknown;
}

/**
 * @param taskText a task file; the preset without one
 * @throws INVALID_REQUEST, naming the flag and what it takes
 */
export function simulationRequest(
  options: SimulateOptions,
  taskText: string | undefined,
  cores: number,
): SimulationRequest {
  const { agents, trace, seed, alpha, days, goal, processes = cores } = options;
  if (options.preset !== 'digits') {
    throw new GraftError('INVALID_REQUEST', `there is no preset '${options.preset}'; built in is: digits`);
  }
  const isBuiltIn = builtInTraces.includes(trace);
  const cohort = cohortOf(agents ?? usualAgents, goal);
  const own = taskText === undefined ? digitsTask(cohort) : readTask(taskText);
  const task = goal === undefined ? own : { ...own, cohort };
  const rounds = options.rounds ?? (typeof task.rounds === 'number' ? task.rounds : 30);
  return {
    ...(agents !== undefined && { agents }),
    ...(agents === undefined && isBuiltIn && { agents: usualAgents }),
    rounds,
    seed,
    trace: isBuiltIn ? { builtIn: trace } : { file: trace },
    task,
    policies: policiesOf(options, task.policy),
    hidden,
    alpha,
    processes,
    longestMs: days * dayMs,
  };
}

function readTask(text: string): SimulationRequest['task'] {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new GraftError('INVALID_REQUEST', `the task file is not JSON: ${why}`, { cause: error });
  }
  throw new GraftError('INVALID_REQUEST', 'the task file holds no task; examples/digits/task.json is one');
}

/** The task's own policy, or those that the flags name with their usual settings. */
function policiesOf({ policy, compare }: SimulateOptions, own: unknown): unknown[] {
  const names = compare?.split(',') ?? (policy === undefined ? [] : [policy]);
  const unknown = names.find((name) => !policyKinds.includes(name));
  if (unknown !== undefined) {
    throw new GraftError('INVALID_REQUEST', `there is no policy '${unknown}'; there are: ${policyKinds.join(', ')}`);
  }
  return names.length === 0 ? [own ?? { kind: 'synchronous' }] : names.map((kind) => ({ kind }));
}
