/**
 * Trains a model over the runtime port: epochs of optimizer steps, each one run of the training graph or several of micro-batches.
 * On one thread the same seed gives the same bits, also where a training was interrupted and goes on from a checkpoint.
 */
import { GraftError } from '@graft/core/error';
import type { Tensor, Weights } from '@graft/core/tensor';

import type { Model } from '../graph/graph.js';
import type { Feeds, Runtime } from '../runtime/runtime.js';
import { plannedRuns, stepsOf, type BatchPlan } from './batch-plan.js';
import { batchesOf, type BatchSource } from './batch-source.js';
import { runGroups } from './run-groups.js';
import { targetOf } from './step-feeds.js';
import { StepSource } from './step-source.js';
import { Tally, type Divergence, type Rates, type TrainingProgress } from './tally.js';
import type { TrainingCheckpoint } from './training-checkpoint.js';
import { trainingState, type TrainingState } from './training-state.js';
import type { TargetRole, TrainingStep, TrainingStepOptions } from './training-step.js';

/** What is trained: a step in its forms, and where it begins. */
export interface Trainee {
  readonly steps: StepSource;
  /** Holds every trainable weight and running statistic. */
  readonly initial: Weights;
}

export interface Learning extends Rates {
  readonly batches: BatchSource;
  readonly epochs: number;
  /** Examples an optimizer step. */
  readonly batchSize: number;
  /** Examples a run, for a step that was built to accumulate: less memory for the same result. Default: the batch size. */
  readonly microBatchSize?: number;
  /** Optimizer steps a run, of a step that is so short that a run's own price counts. Default 1. */
  readonly stepsPerRun?: number;
  /** References of regularizers, by input of the step. */
  readonly references?: Feeds;
}

export interface TrainingControl {
  /** Where to go on from. */
  readonly resume?: TrainingCheckpoint;
  /**
   * Called between runs, after one step or a few. May wait, which is a pause; may keep the checkpoint, which is valid until it
   * returns; may throw, which ends the training.
   */
  readonly betweenRuns?: (
    progress: TrainingProgress,
    checkpoint: () => Promise<TrainingCheckpoint>,
  ) => void | Promise<void>;
}

export interface TrainingResult {
  /** The trainable weights after the last step, and running statistics where they are kept. */
  readonly weights: Map<string, Tensor<'float32'>>;
  /** Mean loss over the examples in the last epoch, each before the step that it was part of. */
  readonly loss: number;
  /** Mean loss of the first batch, before anything was learnt. */
  readonly initialLoss: number;
  readonly steps: number;
  /** Sums over the last epoch of the step's metrics, by output. */
  readonly metrics: ReadonlyMap<string, Tensor<'float32'>>;
}

/** The loss is no number any more. */
export class TrainingDiverged extends GraftError {
  /** @param lastGood weights of the last step whose loss was finite */
  constructor(
    message: string,
    readonly step: number,
    readonly lastGood: ReadonlyMap<string, Tensor<'float32'>>,
  ) {
    super('TRAINING_DIVERGED', message, { details: { step } });
  }
}

/** Examples in memory: tensors [N, ...] by input of the model, and what is true of them by role. */
export interface ExampleTensors {
  readonly inputs: Readonly<Record<string, Tensor>>;
  readonly targets: Readonly<Partial<Record<TargetRole, Tensor>>>;
}

/** Throws TENSOR_UNKNOWN for a target that the step does not take, DATA_EMPTY and DATA_UNSUITABLE. */
export function batchesFor(step: TrainingStep, { inputs, targets }: ExampleTensors): BatchSource {
  const entries = Object.entries(targets).map(([role, value]) => [targetOf(step, role as TargetRole).name, value]);
  return batchesOf({ ...inputs, ...Object.fromEntries(entries) });
}

export interface TrainingJob extends Omit<Learning, 'batches'> {
  readonly model: Model;
  readonly step: TrainingStepOptions;
  readonly examples: ExampleTensors;
}

/** Builds, loads, trains on one thread, and disposes. Throws what buildTrainingStep, the runtime and `trainWith` throw. */
export async function train(job: TrainingJob, runtime: Runtime, control?: TrainingControl): Promise<TrainingResult> {
  const [first] = Object.values(job.examples.inputs);
  const rows = Math.min(job.microBatchSize ?? job.batchSize, first?.shape[0] ?? 1);
  const steps = new StepSource(job.model, { ...job.step, rows }, runtime);
  try {
    const batches = batchesFor(steps.step, job.examples);
    return await trainWith({ steps, initial: job.model.weights }, { ...job, batches }, control);
  } finally {
    await steps.dispose();
  }
}

/**
 * All epochs, from `initial` and fresh optimizer state or from a checkpoint.
 * Throws DATA_UNSUITABLE where labels do not fit, TrainingDiverged where the loss is not finite, and what the runtime and the control throw.
 */
export async function trainWith(
  { steps: source, initial }: Trainee,
  learning: Learning,
  { resume, betweenRuns }: TrainingControl = {},
): Promise<TrainingResult> {
  const { step } = source;
  const plan = planOf(learning, step);
  const { batches } = learning;
  // The next step's loss scale follows from whether this one's gradients were finite.
  const together = step.scalars.lossScale === undefined ? (learning.stepsPerRun ?? 1) : 1;
  const rows = Math.min(plan.microBatchSize, plan.batchSize);
  const { session: first } = await source.of(rows);
  const state = trainingState({ step, initial, ...(resume !== undefined && { resumed: resume.state }) }, first);
  const tally = new Tally(step, stepsOf(plan), resume);
  try {
    for await (const { runs, feeds } of runGroups(plannedRuns(plan, tally.done), { batches, step, together, rows })) {
      const form = await (runs.length > 1 ? source.looped() : source.of(runs[0]?.rows.length ?? rows));
      const fed = { ...inNamesOf(form.step, step, feeds), ...tally.feeds(form.step, runs, learning) };
      const fetches = await state.run(form, { ...learning.references, ...fed });
      const divergence = tally.add(form.step, runs, fetches);
      if (divergence !== undefined) throw await diverged(divergence, learning, state);
      state.advance();
      if (tally.isBetweenSteps) await betweenRuns?.(tally.progress(), () => tally.checkpoint(state));
    }
    const { loss, metrics } = tally.sums.last;
    const { initialLoss, done } = tally;
    const weights = await state.values();
    const broken = firstNotFinite(weights);
    // No loss has been computed with the last weights: that of one example of a million may have had no finite gradient.
    if (broken !== undefined) throw await brokenBy(done, broken, state);
    return { weights, loss: loss / plan.count, initialLoss, steps: done, metrics };
  } finally {
    state.dispose();
  }
}

function planOf(learning: Learning, step: TrainingStep): BatchPlan {
  const { batches, epochs, batchSize, microBatchSize, seed } = learning;
  if (microBatchSize !== undefined && step.scalars.apply === undefined) {
    throw new GraftError('MODEL_UNSUPPORTED', 'micro-batches need a training step that accumulates gradients');
  }
  return {
    count: batches.count,
    epochs,
    batchSize: Math.min(batchSize, batches.count),
    microBatchSize: microBatchSize ?? batchSize,
    leastRows: step.leastRows,
    seed,
  };
}

/** Batches by the names that a form of the step has for its inputs. */
function inNamesOf(form: TrainingStep, step: TrainingStep, feeds: Feeds): Feeds {
  if (form === step) return feeds;
  const names = new Map(
    [...step.inputs, ...step.targets].map(({ name }, i) => [name, [...form.inputs, ...form.targets][i]?.name ?? name]),
  );
  return Object.fromEntries(Object.entries(feeds).map(([name, value]) => [names.get(name) ?? name, value]));
}

async function diverged(
  { loss, step }: Divergence,
  { learningRate }: Learning,
  state: TrainingState,
): Promise<TrainingDiverged> {
  const message = `the loss is ${loss} at step ${step} with learning rate ${learningRate}`;
  return new TrainingDiverged(message, step, await state.valuesBefore());
}

/** What a last step left that no loss was computed with. */
async function brokenBy(step: number, weight: string, state: TrainingState): Promise<TrainingDiverged> {
  const message = `step ${step} left '${weight}' with values that are not finite, though its loss was: a gradient was not`;
  return new TrainingDiverged(message, step, await state.valuesBefore());
}

function firstNotFinite(weights: ReadonlyMap<string, Tensor<'float32'>>): string | undefined {
  return [...weights].find(([, { data }]) => !data.every(Number.isFinite))?.[0];
}
