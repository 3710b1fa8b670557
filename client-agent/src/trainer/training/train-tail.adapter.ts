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
import { StepSource } from '@graft/models/training/step-source';
import { trainWith } from '@graft/models/training/training-session';
import type { TrainingStep } from '@graft/models/training/training-step';

import { oneThread } from '../resident-sessions.adapter.js';
import type { JobControl } from '../serve.driver.js';
import type { TrainerPlaces } from '../trainer-calls.js';
import { CheckpointFiles } from './checkpoint-files.adapter.js';
import type { Engine } from './engine.adapter.js';
import type { TrainingEstimate, TrunkChoice } from './estimate.js';
import { KeptSteps, type LoadedStep } from './kept-steps.js';
import { memoryOf } from './memory-of.js';
import { isPaused, whilePaused } from './pause-file.adapter.js';
import { stepMs } from './step-ms.adapter.js';
import { TrainingWatch } from './training-watch.adapter.js';

/** Tasks whose training graphs stay loaded. */
const keptSteps = 2;

export interface TailTraining {
  /** What the training graph is made of, apart from the values of the trainable weights. */
  readonly graphKey: string;
  /** What the result depends on beside graph, spec and seed: the base's values, the examples, and what is made of them. */
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
  private readonly kept = new KeptSteps(keptSteps);

  private engine: Promise<Engine> | undefined;

  /** @param openEngine is called when the first training comes */
  constructor(private readonly openEngine: () => Promise<Engine>) {}

  /** Throws what building, loading and training throw; the reason of the signal where it was aborted. */
  async train(training: TailTraining, control: JobControl): Promise<TrainedTail> {
    const startedAtMs = performance.now();
    const { graphKey, model, trainable, spec, count } = training;
    const engine = await this.opened();
    const options = { ...stepOptionsOf(spec), rows: rowsOf(spec, count) };
    const { runtime, provider, lowering } = engine;
    const on = { ...oneThread, lowering, ...(provider !== undefined && { provider }) };
    const trained = await this.kept.using(
      JSON.stringify([graphKey, trainable, options]),
      () => Promise.resolve().then(() => ({ steps: new StepSource(model, { ...options, trainable, ...on }, runtime) })),
      (loaded) => trainOn(loaded, training, { ...control, engine }),
    );
    return { ...trained, trainMs: Math.round(performance.now() - startedAtMs) };
  }

  /** A device that is not there now may be there at the next training. */
  private async opened(): Promise<Engine> {
    const opening = (this.engine ??= this.openEngine());
    try {
      return await opening;
    } catch (error) {
      if (this.engine === opening) this.engine = undefined;
      throw error;
    }
  }
}

async function trainOn(
  loaded: LoadedStep,
  training: TailTraining,
  { engine, ...control }: JobControl & { readonly engine: Engine },
): Promise<Omit<TrainedTail, 'trainMs'>> {
  const { model, spec, seed, places, count } = training;
  const { step } = loaded.steps;
  const learning = {
    ...learningOf(spec),
    batches: training.batches(step),
    seed,
    references: training.references(step),
  };
  const files = new CheckpointFiles(places.training);
  const key = checkpointKey(training, engine);
  const resume = await files.load(key, step);
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
    estimate: { ...estimateOf(training, loaded.stepMs, doneSteps), device: engine.about },
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
  return result;
}

/** Another runtime or device computes other bits, so it begins anew. */
const checkpointKey = (
  { graphKey, valuesKey, trainable, spec, seed }: TailTraining,
  { runtime, provider, lowering }: Engine,
): string => JSON.stringify([graphKey, valuesKey, trainable, spec, seed, [runtime.name, provider ?? '', lowering]]);

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
