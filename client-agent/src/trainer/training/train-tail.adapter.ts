/**
 * Training of a pipeline's tail: what it will take is told first, it can be paused and cancelled between steps, and goes on from its
 * last checkpoint after a crash to the same bits. Training graphs stay loaded between rounds.
 */
import { performance } from 'node:perf_hooks';

import type { Tensor } from '@graft/core/tensor';
import type { Model } from '@graft/models/graph/graph';
import { learningOf, stepOptionsOf, type TrainingSpec } from '@graft/models/pipeline/training-spec';
import type { Feeds, Runtime, Session } from '@graft/models/runtime/runtime';
import type { BatchSource } from '@graft/models/training/batch-source';
import { buildTrainingStep } from '@graft/models/training/build-training-step';
import { trainWith, type Learning } from '@graft/models/training/training-session';
import type { TrainingStep } from '@graft/models/training/training-step';

import { oneThread } from '../resident-sessions.adapter.js';
import type { JobControl } from '../serve.driver.js';
import type { TrainerPlaces } from '../trainer-calls.js';
import { CheckpointFiles } from './checkpoint-files.adapter.js';
import type { TrunkChoice } from './estimate.js';
import { memoryOf } from './memory-of.js';
import { whilePaused } from './pause-file.adapter.js';
import { stepMs } from './step-ms.adapter.js';
import { TrainingWatch } from './training-watch.adapter.js';

/** Tasks whose training graphs stay loaded. */
const keptSteps = 2;

interface LoadedStep {
  readonly step: TrainingStep;
  readonly session: Session;
  /** Speed of the last training on it, to tell how long the next one will take. */
  examplesPerSecond?: number;
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
  readonly batches: (step: TrainingStep) => BatchSource;
  /** What is fed to every run: references of regularizers, class weights. */
  readonly constants: (step: TrainingStep) => Feeds;
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

  constructor(private readonly runtime: Runtime) {}

  /** Throws what building, loading and training throw; the reason of the signal where it was aborted. */
  async train(training: TailTraining, control: JobControl): Promise<TrainedTail> {
    const { model, spec, seed, trainable, places } = training;
    const startedAtMs = performance.now();
    const loaded = await this.stepOf(training);
    const { step, session } = loaded;
    const learning = {
      ...learningOf(spec),
      batches: training.batches(step),
      seed,
      constants: training.constants(step),
    };
    const files = new CheckpointFiles(places.training);
    const key = JSON.stringify([training.graphKey, training.valuesKey, trainable, spec, seed]);
    const resume = await files.load(key);
    await whilePaused(places.pauseFile, control.signal);
    const initial = model.weights;
    await this.tellEstimate({ loaded, learning, training, doneSteps: resume?.steps ?? 0 }, control);
    const examples = learning.batches.count * spec.epochs;
    const watch = new TrainingWatch({
      ...control,
      pauseFile: places.pauseFile,
      examples,
      examplesBefore: Math.min(examples, (resume?.steps ?? 0) * spec.batchSize),
      save: (checkpoint) => files.save(key, checkpoint),
    });
    const result = await trainWith({ session, step, initial }, learning, {
      ...(resume !== undefined && { resume }),
      afterStep: (progress, checkpoint) => watch.afterStep(progress, checkpoint),
    });
    const speed = watch.examplesPerSecond();
    if (speed !== undefined) loaded.examplesPerSecond = speed;
    await files.remove(key);
    return { ...result, trainMs: Math.round(performance.now() - startedAtMs) };
  }

  /** Measured on this step before, or by two steps whose results are thrown away. */
  private async tellEstimate(
    { loaded, learning, training, doneSteps }: Estimating,
    control: JobControl,
  ): Promise<void> {
    const { model, spec, trunk } = training;
    const { count } = learning.batches;
    loaded.examplesPerSecond ??=
      (1000 * Math.min(spec.batchSize, count)) / (await stepMs({ ...loaded, initial: model.weights }, learning));
    const { examplesPerSecond } = loaded;
    const left = Math.max(0, count * spec.epochs - doneSteps * spec.batchSize);
    const rows = Math.min(spec.microBatchSize ?? spec.batchSize, count);
    control.onProgress({
      activity: 'training',
      progress: 0,
      estimate: {
        examples: count,
        epochs: spec.epochs,
        examplesPerSecond,
        remainingMs: (1000 * left) / examplesPerSecond,
        memoryBytes: memoryOf(model, { ...stepOptionsOf(spec), trainable: training.trainable }, rows),
        trunk,
      },
    });
  }

  private stepOf({ graphKey, model, trainable, spec }: TailTraining): Promise<LoadedStep> {
    const options = stepOptionsOf(spec);
    const key = JSON.stringify([graphKey, trainable, options]);
    const known = this.loaded.get(key);
    if (known !== undefined) return known;
    const made = this.load(buildTrainingStep(model, { ...options, trainable }));
    this.loaded.set(key, made);
    made.catch(() => this.loaded.delete(key));
    this.evict();
    return made;
  }

  private async load(step: TrainingStep): Promise<LoadedStep> {
    return { step, session: await this.runtime.load(step, { ...oneThread, purpose: 'training' }) };
  }

  private evict(): void {
    for (const [key, step] of this.loaded) {
      if (this.loaded.size <= keptSteps) return;
      this.loaded.delete(key);
      step.then(
        ({ session }) => session.dispose(),
        () => undefined,
      );
    }
  }
}

interface Estimating {
  readonly loaded: LoadedStep;
  readonly learning: Learning;
  readonly training: TailTraining;
  readonly doneSteps: number;
}
