/** Training of a pipeline's tail on features. */
import { GraftError } from '@graft/core/error';
import type { Tensor, Weights } from '@graft/core/tensor';
import type { Model } from '@graft/models/graph/graph';
import type { trainingSchema } from '@graft/models/pipeline/task-spec';
import type { z } from 'zod';

import type { Fitting } from './fit-job.adapter.js';

export interface TailTraining {
  readonly model: Model;
  readonly trainable: readonly string[];
  readonly features: readonly Tensor<'float32'>[];
  readonly labels: Int32Array;
  readonly options: z.infer<typeof trainingSchema>;
  readonly seed: number;
}

export interface TrainedTail {
  /** The trainable tensors after training. */
  readonly weights: Weights;
  /** Mean loss over the last epoch, and before training. */
  readonly loss: number;
  readonly initialLoss: number;
  readonly steps: number;
  readonly epochs: number;
  readonly trainMs: number;
}

export function trainTail({ model }: TailTraining, { runtime }: Fitting): Promise<TrainedTail> {
  return Promise.reject(new GraftError('MODEL_UNSUPPORTED', `${runtime.name} cannot train '${model.graph.name}' yet`));
}
