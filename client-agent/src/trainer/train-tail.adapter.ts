/** Training of a pipeline's tail on features; the training graph stays loaded between rounds. */
import { performance } from 'node:perf_hooks';

import type { Tensor } from '@graft/core/tensor';
import type { Model } from '@graft/models/graph/graph';
import { stack } from '@graft/models/pipeline/features';
import type { Runtime, Session } from '@graft/models/runtime/runtime';
import type { TrainingStep } from '@graft/models/training/training-step';
import { trainingStepOf, trainWith, type TrainingOptions } from '@graft/models/training/training-session';

import { oneThread } from './resident-sessions.adapter.js';
import type { JobControl } from './serve.driver.js';

/** Tasks whose training graphs stay loaded. */
const keptSteps = 2;

interface LoadedStep {
  readonly step: TrainingStep;
  readonly session: Session;
}

export interface TailTraining {
  /** What the training graph is made of, apart from the values of the trainable weights. */
  readonly key: string;
  /** With the base's values of the trainable weights. */
  readonly model: Model;
  readonly trainable: readonly string[];
  /** One an example, without a batch dimension. */
  readonly features: readonly Tensor<'float32'>[];
  readonly labels: Int32Array;
  readonly options: TrainingOptions;
  readonly seed: number;
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
  async train(training: TailTraining, { signal, onProgress }: JobControl): Promise<TrainedTail> {
    const { model, labels, options, seed } = training;
    const features = stack(training.features);
    const startedAtMs = performance.now();
    const { step, session } = await this.stepOf({ ...training, features });
    const loaded = { session, step, initial: model.weights };
    const result = await trainWith(loaded, { features, labels, options, seed }, ({ step: done, steps, loss }) => {
      signal.throwIfAborted();
      onProgress({ activity: 'training', progress: done / steps, loss });
    });
    return { ...result, trainMs: Math.round(performance.now() - startedAtMs) };
  }

  private stepOf(job: Omit<TailTraining, 'features'> & { readonly features: Tensor<'float32'> }): Promise<LoadedStep> {
    const { model, trainable, options, features } = job;
    const key = JSON.stringify([job.key, trainable, options, features.shape.slice(1)]);
    const known = this.loaded.get(key);
    if (known !== undefined) return known;
    const made = this.load(trainingStepOf({ model, trainable, options, features }));
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
