/** The part of a task that says how an agent trains: read from the task file, carried in the plan, turned into a training step. */
import { z } from 'zod';

import type { LossSpec } from '../training/losses/loss-spec.js';
import type { OptimizerSpec } from '../training/optimizers/optimizer-spec.js';
import type { Learning } from '../training/training-session.js';
import type { TrainingStepOptions } from '../training/training-step.js';
import { augmentationSchema, type Augmentation } from './augmentation/augmentation.js';

const warmup = { warmupSteps: z.int().min(0).exactOptional() };

/** See training/schedules.ts. */
const scheduleSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('constant'), ...warmup }),
  z.strictObject({ kind: z.literal('step'), every: z.int().min(1), factor: z.number().positive(), ...warmup }),
  z.strictObject({ kind: z.literal('cosine'), floor: z.number().min(0).max(1).exactOptional(), ...warmup }),
  z.strictObject({ kind: z.literal('one-cycle'), rising: z.number().gt(0).lt(1).exactOptional() }),
]);

/** Blends examples, so that labels are shares of classes. */
const mixes = ({ augmentation }: { readonly augmentation?: Augmentation }): boolean =>
  augmentation?.place === 'after-trunk' && augmentation.mixup !== undefined;

export const trainingSchema = z
  .strictObject({
    loss: z.enum(['softmax-cross-entropy', 'focal']),
    /** Share of each label that is spread over all classes; of softmax-cross-entropy. */
    labelSmoothing: z.number().min(0).lt(1).exactOptional(),
    /** Of focal. */
    gamma: z.number().min(0).max(10).exactOptional(),
    /** What it means that a site has no example of a class: 'refuse' ends its part of the round; default 'warn'. */
    emptyClasses: z.enum(['warn', 'refuse']).exactOptional(),
    /** 'balanced': a class counts the more the fewer examples the site has of it. */
    classWeights: z.literal('balanced').exactOptional(),
    optimizer: z.enum(['sgd', 'adam', 'adamw', 'adagrad', 'rmsprop', 'lars', 'lamb']),
    learningRate: z.number().positive(),
    schedule: scheduleSchema.exactOptional(),
    /** Of sgd, rmsprop and lars. */
    momentum: z.number().min(0).lt(1).exactOptional(),
    /** Of sgd. */
    nesterov: z.boolean().exactOptional(),
    epochs: z.int().min(1).max(10_000),
    batchSize: z.int().min(1).max(65_536),
    /** Examples that are in memory at a time: the batch in parts, for the same result. */
    microBatchSize: z.int().min(1).max(65_536).exactOptional(),
    weightDecay: z.number().min(0).exactOptional(),
    /** Gradients longer than this, all together, are scaled to this length. */
    clipNorm: z.number().positive().exactOptional(),
    /** FedProx: how strongly weights are held to those that the round began with. */
    proximal: z.number().positive().exactOptional(),
    /** Rate of the model's own Dropout nodes while training. */
    dropout: z.number().min(0).lt(1).exactOptional(),
    /** How examples are varied at random. */
    augmentation: augmentationSchema.exactOptional(),
  })
  .refine(({ loss, labelSmoothing }) => labelSmoothing === undefined || loss === 'softmax-cross-entropy', {
    message: 'is of softmax-cross-entropy only',
    path: ['labelSmoothing'],
  })
  .refine(({ loss, gamma }) => gamma === undefined || loss === 'focal', {
    message: 'is of focal only',
    path: ['gamma'],
  })
  .refine(({ optimizer, momentum }) => momentum === undefined || ['sgd', 'rmsprop', 'lars'].includes(optimizer), {
    message: 'is of sgd, rmsprop and lars only',
    path: ['momentum'],
  })
  .refine(({ optimizer, nesterov, momentum }) => nesterov !== true || (optimizer === 'sgd' && (momentum ?? 0) > 0), {
    message: 'is of sgd with a momentum only',
    path: ['nesterov'],
  })
  .refine((spec) => !mixes(spec) || (spec.loss === 'softmax-cross-entropy' && spec.classWeights === undefined), {
    message: 'mixup is of softmax-cross-entropy without class weights only',
    path: ['augmentation', 'mixup'],
  });

export type TrainingSpec = z.infer<typeof trainingSchema>;

/** What the training step is built of, apart from what is trained. */
export function stepOptionsOf(spec: TrainingSpec): Omit<TrainingStepOptions, 'trainable'> {
  return {
    loss: lossOf(spec),
    optimizer: optimizerOf(spec),
    ...(spec.clipNorm !== undefined && { clipNorm: spec.clipNorm }),
    ...(spec.proximal !== undefined && { regularizers: [{ kind: 'proximal' }] }),
    ...(spec.dropout !== undefined && { dropout: { rate: spec.dropout } }),
    ...(accumulates(spec) && { accumulate: true }),
  };
}

/** How the step is run. */
export function learningOf(spec: TrainingSpec): Omit<Learning, 'batches' | 'seed'> {
  const { epochs, batchSize, learningRate, schedule, microBatchSize, proximal } = spec;
  return {
    epochs,
    batchSize,
    learningRate,
    ...(schedule !== undefined && { schedule }),
    ...(accumulates(spec) && { microBatchSize: microBatchSize ?? batchSize }),
    ...(proximal !== undefined && { coefficients: { proximal } }),
  };
}

/** Whether a step is made of several runs. */
export function accumulates({ batchSize, microBatchSize }: TrainingSpec): boolean {
  return microBatchSize !== undefined && microBatchSize < batchSize;
}

function lossOf(spec: TrainingSpec): LossSpec {
  const { loss, labelSmoothing, gamma, classWeights } = spec;
  const weighted = classWeights !== undefined && { weighted: true };
  if (loss === 'focal') return { kind: loss, ...(gamma !== undefined && { gamma }), ...weighted };
  const labels = mixes(spec) && ({ labels: 'soft' } as const);
  return { kind: loss, ...(labelSmoothing !== undefined && { smoothing: labelSmoothing }), ...weighted, ...labels };
}

function optimizerOf({ optimizer, momentum, nesterov, weightDecay }: TrainingSpec): OptimizerSpec {
  return {
    kind: optimizer,
    ...(momentum !== undefined && { momentum }),
    ...(nesterov !== undefined && { nesterov }),
    ...(weightDecay !== undefined && { weightDecay }),
  };
}
