/** Trains a model on features and labels, over the runtime port; the same seed gives the same weights on one thread. */
import { GraftError } from '@graft/core/error';
import { random } from '@graft/core/random';
import { elementCount, tensor, type Tensor, type Weights } from '@graft/core/tensor';

import type { Model } from '../graph/graph.js';
import type { Runtime, Session } from '../runtime/runtime.js';
import { buildTrainingStep } from './build-training-step.js';
import type { OptimizerSpec } from './optimizers/optimizer-spec.js';
import { stepScalars } from './optimizers/step-scalars.js';
import { firstState, nextState, scalarFeeds, targetOf, weightsIn } from './step-feeds.js';
import type { TrainingStep } from './training-step.js';

export interface TrainingOptions {
  readonly epochs: number;
  readonly batchSize: number;
  readonly optimizer: 'adam' | 'sgd';
  readonly learningRate: number;
  /** Of SGD; default 0. */
  readonly momentum?: number;
  readonly weightDecay?: number;
}

export interface TrainingData {
  /** [N, ...]: one row an example. */
  readonly features: Tensor<'float32'>;
  /** N numbers of classes. */
  readonly labels: Int32Array;
}

export interface TrainingJob extends TrainingData {
  readonly model: Model;
  readonly trainable: readonly string[];
  readonly options: TrainingOptions;
  /** Of the order of the examples. */
  readonly seed: number;
}

export interface TrainingResult {
  /** The trainable weights after the last step. */
  readonly weights: Map<string, Tensor<'float32'>>;
  /** Mean loss over the examples in the last epoch, each before the step that it was part of. */
  readonly loss: number;
  /** Mean loss of the first batch, before anything was learnt. */
  readonly initialLoss: number;
  readonly steps: number;
}

export interface TrainingProgress {
  readonly step: number;
  readonly steps: number;
  readonly epoch: number;
  /** Of this step's batch. */
  readonly loss: number;
}

/** May throw, which ends the training: that is how it is cancelled. */
export type OnTrainingProgress = (progress: TrainingProgress) => void;

export function optimizerOf({ optimizer, momentum, weightDecay }: TrainingOptions): OptimizerSpec {
  const decay = weightDecay === undefined ? {} : { weightDecay };
  return optimizer === 'adam' ? { kind: 'adam', ...decay } : { kind: 'sgd', momentum: momentum ?? 0, ...decay };
}

/** The step that `train` runs; build and load it once to train again and again with `trainWith`. */
export function trainingStepOf({
  model,
  trainable,
  options,
  features,
}: Omit<TrainingJob, 'labels' | 'seed'>): TrainingStep {
  return buildTrainingStep(model, {
    trainable,
    loss: 'softmax-cross-entropy',
    optimizer: optimizerOf(options),
    inputShapes: { [model.graph.inputs[0]?.name ?? '']: ['batch', ...features.shape.slice(1)] },
  });
}

/** Builds, loads, trains on one thread, and disposes. Throws what buildTrainingStep, the runtime and `trainWith` throw. */
export async function train(
  job: TrainingJob,
  runtime: Runtime,
  onProgress?: OnTrainingProgress,
): Promise<TrainingResult> {
  const step = trainingStepOf(job);
  const session = await runtime.load(step, { threads: 1, purpose: 'training' });
  try {
    return await trainWith({ session, step, initial: job.model.weights }, job, onProgress);
  } finally {
    await session.dispose();
  }
}

export interface LoadedStep {
  readonly session: Session;
  readonly step: TrainingStep;
  /** Holds every trainable weight. */
  readonly initial: Weights;
}

type Job = Pick<TrainingJob, 'features' | 'labels' | 'options' | 'seed'>;

/**
 * All epochs on a session of `step`, from `initial` and fresh optimizer state; the last batch of an epoch may be smaller.
 * Throws DATA_EMPTY without examples, DATA_UNSUITABLE where labels do not fit, TRAINING_DIVERGED where the loss is not finite.
 */
export async function trainWith(
  loaded: LoadedStep,
  job: Job,
  onProgress?: OnTrainingProgress,
): Promise<TrainingResult> {
  const { session, step } = loaded;
  const { epochs, batchSize, learningRate } = job.options;
  const count = job.labels.length;
  checkData(job, step.classes);
  const batches = batchBuffers(job, Math.min(batchSize, count));
  const steps = epochs * Math.ceil(count / batchSize);
  const stream = random(job.seed);
  let state = firstState(step, loaded.initial);
  let [done, initialLoss, epochLoss] = [0, NaN, NaN];
  for (let epoch = 0; epoch < epochs; epoch++) {
    const order = stream.shuffle([...Array(count).keys()]);
    let total = 0;
    for (let begin = 0; begin < count; begin += batchSize) {
      const rows = order.slice(begin, begin + batchSize);
      const scalars = stepScalars(step.optimizer, learningRate, done + 1);
      const fetches = await session.run({
        ...state,
        ...batches(step, rows),
        ...scalarFeeds(step, { ...scalars }),
      });
      done += 1;
      const loss = numberOf(fetches[step.loss]);
      if (!Number.isFinite(loss)) throw diverged(loss, done, learningRate);
      if (done === 1) initialLoss = loss;
      total += loss * rows.length;
      state = nextState(step, fetches);
      onProgress?.({ step: done, steps, epoch, loss });
    }
    epochLoss = total / count;
  }
  return { weights: weightsIn(step, state), loss: epochLoss, initialLoss, steps: done };
}

function checkData({ features, labels }: Job, classes: number): void {
  if (labels.length === 0) throw new GraftError('DATA_EMPTY', 'there is no example to train on');
  if (features.shape[0] !== labels.length) {
    throw new GraftError('DATA_UNSUITABLE', `${features.shape[0] ?? 0} rows of features have ${labels.length} labels`);
  }
  const outside = labels.find((label) => label < 0 || label >= classes);
  if (outside !== undefined)
    throw new GraftError('DATA_UNSUITABLE', `label ${outside} is none of the ${classes} classes of the model`);
}

function diverged(loss: number, step: number, learningRate: number): GraftError {
  return new GraftError('TRAINING_DIVERGED', `the loss is ${loss} at step ${step} with learning rate ${learningRate}`, {
    details: { step, learningRate },
  });
}

/** Feeds of a batch, gathered into the same memory every time. */
function batchBuffers({ features, labels }: Job, batchSize: number) {
  const shape = features.shape.slice(1);
  const length = elementCount(shape);
  const rowBuffer = new Float32Array(batchSize * length);
  const labelBuffer = new Int32Array(batchSize);
  return (step: TrainingStep, rows: readonly number[]): Record<string, Tensor> => {
    for (const [i, row] of rows.entries()) {
      rowBuffer.set(features.data.subarray(row * length, (row + 1) * length), i * length);
      labelBuffer[i] = labels[row] ?? 0;
    }
    return {
      [step.inputs[0]?.name ?? '']: tensor(
        'float32',
        [rows.length, ...shape],
        rowBuffer.subarray(0, rows.length * length),
      ),
      [targetOf(step, 'labels').name]: tensor('int32', [rows.length], labelBuffer.subarray(0, rows.length)),
    };
  };
}

const numberOf = (value: Tensor | undefined): number => (value?.dtype === 'float32' ? (value.data[0] ?? NaN) : NaN);
