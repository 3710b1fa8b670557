/** Where a training stands between two steps, as one safetensors file: enough to go on to the same bits. */
import { GraftError } from '@graft/core/error';
import type { Tensor } from '@graft/core/tensor';
import { z } from 'zod';

import { decodeSafetensors, encodeSafetensors } from '../formats/safetensors.js';

const progressSchema = z.strictObject({
  /** Optimizer steps that are done. */
  steps: z.int().min(1),
  /** Loss of the first batch, before anything was learnt. */
  initialLoss: z.number(),
  /** Sum over the examples that the epoch in hand has seen. */
  epochLoss: z.number(),
  /** The same of the epoch before, once there is one. */
  lastEpochLoss: z.number().exactOptional(),
  /** See optimizers/loss-scale.ts. */
  lossScale: z.strictObject({ scale: z.number().positive(), steady: z.int().min(0) }),
});

export interface TrainingCheckpoint extends Readonly<z.infer<typeof progressSchema>> {
  /** Weights, optimizer state, statistics and sums of metrics by the name of the step's input. */
  readonly state: ReadonlyMap<string, Tensor>;
}

const format = 'graft-training-checkpoint-1';

/** @param key what the training depends on: model, data, options, seed. Another key is another training. */
export function encodeCheckpoint(key: string, { state, ...progress }: TrainingCheckpoint): Uint8Array {
  return encodeSafetensors(state, { format, key, progress: JSON.stringify(progress) });
}

/** Undefined where the file is of another training. Throws WEIGHTS_MALFORMED where it is damaged. */
export function decodeCheckpoint(key: string, bytes: Uint8Array): TrainingCheckpoint | undefined {
  const { weights: state, metadata } = decodeSafetensors(bytes);
  if (metadata.format !== format || metadata.key !== key) return undefined;
  try {
    return { ...progressSchema.parse(JSON.parse(metadata.progress ?? '')), state };
  } catch (cause) {
    throw new GraftError('WEIGHTS_MALFORMED', 'a training checkpoint does not say where its training stands', {
      cause,
    });
  }
}
