/** What an operator asks a federation to do; written as a file or sent to the admin API, read by coordinator and agent. */
import { z } from 'zod';

import { limits as systemLimits } from '@graft/core/limits';

import { blobRefSchema, labelsSchema } from './pipeline.js';
import { preprocessingSchema } from './preprocessing.js';
import { deadlineSchema, roundPolicySchema, selectionSchema } from './schedule/round-policy.js';
import { trainingSchema } from './training-spec.js';

/** A name in the library, on a command line and in a path. */
export const nameSchema = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'lower-case letters, digits, dot, dash and underscore, at most 64');

const share = z.number().min(0).max(1);

/** How many agents a round waits for: never fewer than `min`, closes at `goal`, asks at most `max`. */
export const cohortSchema = z
  .strictObject({
    min: z.int().min(1).max(100_000),
    goal: z.int().min(1).max(100_000),
    max: z.int().min(1).max(100_000),
  })
  .refine(({ min, goal, max }) => min <= goal && goal <= max, { message: 'min <= goal <= max must hold' });

/**
 * An agent is not asked for the task for `forMs` milliseconds once its updates were refused in `refusals` of its last `rounds` rounds
 * for a reason that speaks of harm or fault. The time doubles with each repeat; `refusals: 0` turns this off.
 */
export const quarantineSchema = z
  .strictObject({
    refusals: z.int().min(0).max(64).default(3),
    rounds: z.int().min(1).max(64).default(5),
    forMs: z
      .int()
      .min(1000)
      .max(30 * 86_400_000)
      .default(3_600_000),
  })
  .refine(({ refusals, rounds }) => refusals <= rounds, { message: 'refusals <= rounds must hold' });

/** What an agent may claim; see admission. */
export const updateLimitsSchema = z.strictObject({
  maxExamples: z.int().min(1).max(systemLimits.examplesPerUpdate).default(systemLimits.examplesPerUpdate),
  /** Largest norm of an update over the median of its round. */
  maxNormRatio: z.number().positive().default(10),
  quarantine: quarantineSchema.prefault({}),
});

/** A candidate is released only where it is no worse than the release before it by more than these margins of accuracy. */
export const gateSchema = z.strictObject({
  margin: share.default(0.01),
  worstSiteMargin: share.default(0.05),
  /** INT8 may be this much less accurate than float32, else float32 is released. */
  int8Margin: share.default(0.01),
});

/** The agent's own lowest rate: less would look like a transfer that stands still. */
const bytesPerS = z.int().min(16_000).max(1_000_000_000_000);

/** How fast the blobs of a task may pass at each agent; the lower of this and what the site allows holds. */
export const taskTransfersSchema = z.strictObject({
  maxUploadBytesPerS: bytesPerS.exactOptional(),
  maxDownloadBytesPerS: bytesPerS.exactOptional(),
});

const schedule = {
  name: nameSchema,
  /** Which work goes first at an agent that has work of several tasks waiting: higher before lower. A site may say otherwise. */
  priority: z.int().min(0).max(100).exactOptional(),
  rounds: z.int().min(1).max(1_000_000),
  cohort: cohortSchema,
  /** The report window of a round. */
  windowMs: z
    .int()
    .min(100)
    .max(7 * 24 * 3_600_000),
  limits: updateLimitsSchema.prefault({}),
  policy: roundPolicySchema.prefault({ kind: 'synchronous' }),
  selection: selectionSchema.prefault({}),
  deadline: deadlineSchema.prefault({}),
  transfers: taskTransfersSchema.exactOptional(),
};

/** Fine-tune a model of the library on the agents' labelled examples. */
export const fitTaskSchema = z.strictObject({
  ...schedule,
  kind: z.literal('fit'),
  /** The model's name in the library. */
  model: nameSchema,
  /** The tensor at which the base model is cut; the new head stands on it. */
  features: z.string().min(1),
  labels: labelsSchema,
  /** 'head' trains the new head alone; 'from:NODE' also everything from that node on. */
  scope: z.union([z.literal('head'), z.templateLiteral(['from:', z.string().min(1)])]),
  preprocessing: preprocessingSchema,
  training: trainingSchema,
  /** The hold-out data set that the coordinator evaluates on. */
  holdOut: blobRefSchema.shape.hash.exactOptional(),
  gate: gateSchema.prefault({}),
});

/** Rounds without training, to measure the machinery: every agent returns the base plus a constant. */
export const probeTaskSchema = z.strictObject({
  ...schedule,
  kind: z.literal('probe'),
  parameters: z.int().min(1).max(systemLimits.updateParameters),
  add: z.number(),
});

export const taskSpecSchema = z.discriminatedUnion('kind', [fitTaskSchema, probeTaskSchema]);

export type FitTask = z.infer<typeof fitTaskSchema>;
export type TaskTransfers = z.infer<typeof taskTransfersSchema>;
export type ProbeTask = z.infer<typeof probeTaskSchema>;
export type TaskSpec = z.infer<typeof taskSpecSchema>;
