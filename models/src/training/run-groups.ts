/** What one call of the runtime does: a run of the training graph, or several steps of one size in a loop, with their batches on a leading axis. */
import { bytesOf, zeros, type Tensor } from '@graft/core/tensor';

import { prefetch } from '../pipeline/batches/prefetch.js';
import type { Feeds } from '../runtime/runtime.js';
import type { PlannedRun } from './batch-plan.js';
import type { BatchSource } from './batch-source.js';
import { checkLabels } from './check-labels.js';
import { checkInputs, checkTargets } from './check-targets.js';
import type { TrainingStep } from './training-step.js';

export interface GroupOptions {
  readonly batches: BatchSource;
  readonly step: TrainingStep;
  /** Steps that may be one group. */
  readonly together: number;
  /** Examples of a step that may be in a group with others. */
  readonly rows: number;
}

export interface RunGroup {
  readonly runs: readonly PlannedRun[];
  /** By input of the step: as the batch source gives them; of several runs [runs, ...]. */
  readonly feeds: Feeds;
}

/**
 * The runs in their order, each batch made while the runtime works on the one before, where making it takes other threads.
 * Throws DATA_UNSUITABLE for inputs and targets that do not fit.
 */
export function runGroups(runs: Iterable<PlannedRun>, options: GroupOptions): AsyncGenerator<RunGroup> {
  return prefetch(tasksOf(runs, options), 1);
}

function* tasksOf(runs: Iterable<PlannedRun>, options: GroupOptions): Generator<() => Promise<RunGroup>> {
  // While one group is in use the next one is gathered.
  const stacks = [new Stack(), new Stack()];
  let number = 0;
  for (const group of groupsOf(runs, options)) {
    const stack = stacks[number++ % stacks.length] ?? new Stack();
    yield () => gather(group, options, stack);
  }
}

/** Whole steps of `rows` examples come together; what is smaller, or part of a step, stays alone. */
function* groupsOf(runs: Iterable<PlannedRun>, { together, rows }: GroupOptions): Generator<PlannedRun[]> {
  let group: PlannedRun[] = [];
  for (const run of runs) {
    const isWhole = run.part === 0 && run.isLast && run.rows.length === rows;
    if (group.length > 0 && (!isWhole || group.length === together)) {
      yield group;
      group = [];
    }
    if (isWhole) group.push(run);
    else yield [run];
  }
  if (group.length > 0) yield group;
}

async function gather(
  runs: readonly PlannedRun[],
  { batches, step, together }: GroupOptions,
  stack: Stack,
): Promise<RunGroup> {
  for (const [i, run] of runs.entries()) {
    const feeds = await batches.batch(run.rows, run.epoch);
    checkInputs(step, feeds);
    checkTargets(step, feeds);
    checkLabels(step, feeds, run.rows);
    // The source keeps a batch until the next call but one, so one that is asked for alone needs no copy.
    if (together === 1) return { runs, feeds };
    stack.put(feeds, i, runs.length === 1 ? [] : [runs.length]);
  }
  return { runs, feeds: stack.feeds() };
}

/** Memory of several batches, kept for the next group. */
class Stack {
  private readonly tensors = new Map<string, Tensor>();

  /** @param axis the leading axis of the stack, none for a batch that stays alone */
  put(feeds: Feeds, at: number, axis: readonly number[]): void {
    for (const [name, value] of Object.entries(feeds)) {
      const shape = [...axis, ...value.shape];
      const known = this.tensors.get(name);
      const stacked = known?.shape.join() === shape.join() ? known : zeros(value.dtype, shape);
      this.tensors.set(name, stacked);
      bytesOf(stacked).set(bytesOf(value), at * value.data.byteLength);
    }
  }

  feeds(): Feeds {
    return Object.fromEntries(this.tensors);
  }
}
