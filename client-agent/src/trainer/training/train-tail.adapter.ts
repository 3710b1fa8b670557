/**
 * Training of a pipeline's tail: what it will take is told first, it can be paused and cancelled between steps, and goes on from its
 * last checkpoint after a crash to the same bits. Training graphs stay loaded between rounds.
 */
import { performance } from 'node:perf_hooks';

import type { Tensor } from '@graft/core/tensor';
import type { Model } from '@graft/models/graph/graph';
import { accumulates, learningOf, stepOptionsOf, type TrainingSpec } from '@graft/models/pipeline/training-spec';
import type { Feeds } from '@graft/models/runtime/runtime';
import type { BatchSource } from '@graft/models/training/batch-source';
import { stepsPerRun } from '@graft/models/training/loop';
import { StepSource, type StepSourceOptions } from '@graft/models/training/step-source';
import { trainWith } from '@graft/models/training/training-session';
import type { TrainingStep } from '@graft/models/training/training-step';

import { oneThread } from '../resident-sessions.adapter.js';
import type { JobControl } from '../serve.driver.js';
import type { TrainerPlaces } from '../trainer-calls.js';
import { CheckpointFiles } from './checkpoint-files.adapter.js';
import type { Engine } from './engine.adapter.js';
import type { TrainingEstimate, TrunkChoice } from './estimate.js';
import { memoryOf } from './memory-of.js';
import { isPaused, whilePaused } from './pause-file.adapter.js';
import { stepMs } from './step-ms.adapter.js';
import { TrainingWatch } from './training-watch.adapter.js';

/** Tasks whose training graphs stay loaded. */
const keptSteps = 2;

interface LoadedStep {
  readonly steps: StepSource;
  /** Time of a step in the last training on it, to tell how long the next one will take. */
  stepMs?: number;
}

export interface TailTraining {
  /** What the training graph is made of, apart from the values of the trainable weights. */
  readonly graphKey: string;
  /** What the result depends on beside graph, spec and seed: the base's values, and the examples. */
  readonly valuesKey: string;
  /** With the base's values of the trainable weights. */
  readonly model: Model;
  readonly trainable: readonly string[];
  readonly spec: TrainingSpec;
  readonly seed: number;
  readonly trunk: TrunkChoice;
  readonly places: Pick<TrainerPlaces, 'training' | 'pauseFile'>;
  /** Number of examples. */
  readonly count: number;
  readonly batches: (step: TrainingStep) => BatchSource;
  /** References of regularizers. */
  readonly references: (step: TrainingStep) => Feeds;
}

export interface TrainedTail {
  /** The trainable tensors after training. */
  readonly weights: ReadonlyMap<string, Tensor<'float32'>>;
  /** Mean loss over the last epoch, and of the first batch before anything was learnt. */
  readonly loss: number;
  readonly initialLoss: number;
  readonly steps: number;
  readonly trainMs: number;
}

export class TrainingSteps {
  private readonly loaded = new Map<string, Promise<LoadedStep>>();

  private engine: Promise<Engine> | undefined;

  /** @param openEngine is called when the first training comes */
  constructor(private readonly openEngine: () => Promise<Engine>) {}

  /** Throws what building, loading and training throw; the reason of the signal where it was aborted. */
  async train(training: TailTraining, control: JobControl): Promise<TrainedTail> {
    const { model, spec, seed, trainable, places } = training;
    const startedAtMs = performance.now();
    const count = training.count;
    const { about } = await (this.engine ??= this.openEngine());
    const loaded = await this.stepOf(training, rowsOf(spec, count));
    const { step } = loaded.steps;
    const batches = training.batches(step);
    const learning = { ...learningOf(spec), batches, seed, references: training.references(step) };
    const files = new CheckpointFiles(places.training);
    const key = JSON.stringify([training.graphKey, training.valuesKey, trainable, spec, seed]);
    const resume = await files.load(key);
    if (await isPaused(places.pauseFile)) {
      control.onProgress({ activity: 'paused', progress: 0, ...(resume !== undefined && { step: resume.steps }) });
    }
    await whilePaused(places.pauseFile, control.signal);
    const trainee = { steps: loaded.steps, initial: model.weights };
    loaded.stepMs ??= await stepMs(trainee, learning);
    const doneSteps = resume?.steps ?? 0;
    control.onProgress({
      activity: 'training',
      progress: 0,
      estimate: { ...estimateOf(training, loaded.stepMs, doneSteps), device: about },
    });
    const watch = new TrainingWatch({
      ...control,
      pauseFile: places.pauseFile,
      examples: count * spec.epochs,
      examplesBefore: Math.min(count * spec.epochs, doneSteps * spec.batchSize),
      save: (checkpoint) => files.save(key, checkpoint),
    });
    const together = accumulates(spec) ? 1 : stepsPerRun(step, loaded.stepMs);
    const result = await trainWith(
      trainee,
      { ...learning, stepsPerRun: together },
      {
        ...(resume !== undefined && { resume }),
        betweenRuns: (progress, checkpoint) => watch.betweenRuns(progress, checkpoint),
      },
    );
    const examplesPerSecond = watch.examplesPerSecond();
    if (examplesPerSecond !== undefined) loaded.stepMs = (1000 * Math.min(spec.batchSize, count)) / examplesPerSecond;
    await files.remove(key);
    return { ...result, trainMs: Math.round(performance.now() - startedAtMs) };
  }

  private stepOf({ graphKey, model, trainable, spec }: TailTraining, rows: number): Promise<LoadedStep> {
    const options = { ...stepOptionsOf(spec), rows };
    const key = JSON.stringify([graphKey, trainable, options]);
    const known = this.loaded.get(key);
    if (known !== undefined) return known;
    const made = this.load(model, { ...options, trainable });
    this.loaded.set(key, made);
    made.catch(() => this.loaded.delete(key));
    this.evict();
    return made;
  }

  private async load(model: Model, options: StepSourceOptions): Promise<LoadedStep> {
    const { runtime, provider, lowering } = await (this.engine ??= this.openEngine());
    const on = { lowering, ...(provider !== undefined && { provider }) };
    return { steps: new StepSource(model, { ...options, ...oneThread, ...on }, runtime) };
  }

  private evict(): void {
    for (const [key, step] of this.loaded) {
      if (this.loaded.size <= keptSteps) return;
      this.loaded.delete(key);
      step.then(
        ({ steps }) => steps.dispose(),
        () => undefined,
      );
    }
  }
}

/** Examples of most runs. */
const rowsOf = ({ batchSize, microBatchSize }: TrainingSpec, count: number): number =>
  Math.min(microBatchSize ?? batchSize, batchSize, count);

function estimateOf(
  { model, spec, trainable, trunk, count }: TailTraining,
  ms: number,
  doneSteps: number,
): Omit<TrainingEstimate, 'device'> {
  const stepRows = Math.min(spec.batchSize, count);
  const left = Math.max(0, count * spec.epochs - doneSteps * stepRows);
  return {
    examples: count,
    epochs: spec.epochs,
    examplesPerSecond: (1000 * stepRows) / ms,
    remainingMs: (left / stepRows) * ms,
    memoryBytes: memoryOf(model, { ...stepOptionsOf(spec), trainable }, rowsOf(spec, count)),
    trunk,
  };
}
