/**
 * Trains a model over the runtime port: epochs of optimizer steps, each one run of the training graph or several of micro-batches.
 * On one thread the same seed gives the same bits, also where a training was interrupted and goes on from a checkpoint.
 */
import { GraftError } from '@graft/core/error';
import { seedFrom } from '@graft/core/random';
import type { Tensor, Weights } from '@graft/core/tensor';

import type { Model } from '../graph/graph.js';
import { prefetch } from '../pipeline/batches/prefetch.js';
import type { Feeds, Runtime, Session } from '../runtime/runtime.js';
import { plannedRuns, stepsOf, type BatchPlan, type PlannedRun } from './batch-plan.js';
import { batchesOf, type BatchSource } from './batch-source.js';
import { buildTrainingStep } from './build-training-step.js';
import { checkLabels } from './check-labels.js';
import { EpochSums } from './epoch-sums.js';
import { initialLossScale, nextLossScale, type LossScale } from './optimizers/loss-scale.js';
import { stepScalars } from './optimizers/step-scalars.js';
import { rateAt, type Schedule } from './schedules.js';
import { StateBuffers } from './state-buffers.js';
import { scalarFeeds, targetOf } from './step-feeds.js';
import type { TrainingCheckpoint } from './training-checkpoint.js';
import type { ScalarRole, TargetRole, TrainingStep, TrainingStepOptions } from './training-step.js';

export interface LoadedStep {
  /** Of `step`, loaded for 'training'. */
  readonly session: Session;
  readonly step: TrainingStep;
  /** Holds every trainable weight and running statistic. */
  readonly initial: Weights;
}

export interface Learning {
  readonly batches: BatchSource;
  readonly epochs: number;
  /** Examples an optimizer step. */
  readonly batchSize: number;
  /** Examples a run, for a step that was built to accumulate: less memory for the same result. Default: the batch size. */
  readonly microBatchSize?: number;
  readonly learningRate: number;
  /** Default: constant. */
  readonly schedule?: Schedule;
  /** Of the order of the examples and of dropout. */
  readonly seed: number;
  /** What stays the same for the whole training: references of regularizers, class weights. */
  readonly constants?: Feeds;
  /** Coefficients of regularizers. */
  readonly coefficients?: Readonly<Partial<Record<ScalarRole, number>>>;
}

export interface TrainingProgress {
  /** Steps done, and all of them. */
  readonly step: number;
  readonly steps: number;
  readonly epoch: number;
  /** Of this step's batch, before the step. */
  readonly loss: number;
  /** Of this step. */
  readonly examples: number;
}

export interface TrainingControl {
  /** Where to go on from. */
  readonly resume?: TrainingCheckpoint;
  /**
   * Called after each step. May wait, which is a pause; may keep the checkpoint, which is valid until it returns; may throw,
   * which ends the training.
   */
  readonly afterStep?: (progress: TrainingProgress, checkpoint: () => TrainingCheckpoint) => void | Promise<void>;
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
  const step = buildTrainingStep(job.model, job.step);
  const batches = batchesFor(step, job.examples);
  const session = await runtime.load(step, { threads: 1, purpose: 'training' });
  try {
    return await trainWith({ session, step, initial: job.model.weights }, { ...job, batches }, control);
  } finally {
    await session.dispose();
  }
}

/**
 * All epochs, from `initial` and fresh optimizer state or from a checkpoint.
 * Throws DATA_UNSUITABLE where labels do not fit, TrainingDiverged where the loss is not finite, and what the runtime and the control throw.
 */
export async function trainWith(
  loaded: LoadedStep,
  learning: Learning,
  { resume, afterStep }: TrainingControl = {},
): Promise<TrainingResult> {
  const { step, initial } = loaded;
  const plan = planOf(learning, step);
  const steps = stepsOf(plan);
  const state = new StateBuffers(step, initial, resume?.state);
  const sums = new EpochSums(step, resume?.epochLoss, resume?.state);
  let scale = resume?.lossScale ?? initialLossScale;
  let [done, initialLoss, stepLoss] = [resume?.steps ?? 0, resume?.initialLoss ?? NaN, 0];
  const checkpoint = (): TrainingCheckpoint => ({
    steps: done,
    initialLoss,
    epochLoss: sums.loss,
    lossScale: scale,
    state: new Map([...state.snapshot(), ...sums.tensors()]),
  });
  for await (const { run, feeds } of fedRuns(plannedRuns(plan, done), learning.batches)) {
    checkLabels(step, feeds, run.rows);
    const scalars = scalarsOf(step, learning, { run, number: done, steps, scale });
    const fetches = await loaded.session.run(
      { ...learning.constants, ...feeds, ...scalars, ...state.feeds() },
      state.into(),
    );
    const loss = numberOf(fetches[step.loss]);
    if (!Number.isFinite(loss)) throw diverged(loss, { number: done + 1, learning, state });
    state.advance();
    if (step.finite !== undefined) scale = nextLossScale(scale, numberOf(fetches[step.finite]) === 1);
    stepLoss += loss * run.share;
    sums.add(loss * run.rows.length, fetches);
    if (!run.isLast) continue;
    done += 1;
    if (done === 1) initialLoss = stepLoss;
    if (run.endsEpoch) sums.endEpoch();
    await afterStep?.({ step: done, steps, epoch: run.epoch, loss: stepLoss, examples: run.stepRows }, checkpoint);
    stepLoss = 0;
  }
  const { loss, metrics } = sums.last;
  return { weights: state.values(), loss: loss / plan.count, initialLoss, steps: done, metrics };
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

interface Fed {
  readonly run: PlannedRun;
  readonly feeds: Feeds;
}

/** The batch after the one in use is made while the runtime works, where making it takes other threads. */
function fedRuns(runs: Iterable<PlannedRun>, batches: BatchSource): AsyncGenerator<Fed> {
  return prefetch(tasksOf(runs, batches), 1);
}

function* tasksOf(runs: Iterable<PlannedRun>, batches: BatchSource): Generator<() => Promise<Fed>> {
  for (const run of runs) yield async () => ({ run, feeds: await batches.batch(run.rows, run.epoch) });
}

interface Moment {
  readonly run: PlannedRun;
  /** Steps done. */
  readonly number: number;
  readonly steps: number;
  readonly scale: LossScale;
}

function scalarsOf(step: TrainingStep, learning: Learning, { run, number, steps, scale }: Moment): Feeds {
  const rate = rateAt(learning.schedule ?? { kind: 'constant' }, learning.learningRate, number + 1, steps);
  return scalarFeeds(step, {
    ...learning.coefficients,
    ...stepScalars(step.optimizer, rate, number + 1),
    seed: seedFrom(learning.seed, number, run.part) % 2 ** 24,
    lossScale: scale.scale,
    share: run.share,
    apply: run.isLast ? 1 : 0,
  });
}

function diverged(
  loss: number,
  { number, learning, state }: { number: number; learning: Learning; state: StateBuffers },
): TrainingDiverged {
  const message = `the loss is ${loss} at step ${number} with learning rate ${learning.learningRate}`;
  return new TrainingDiverged(message, number, state.valuesBefore());
}

const numberOf = (value: Tensor | undefined): number => (value?.dtype === 'float32' ? (value.data[0] ?? NaN) : NaN);
