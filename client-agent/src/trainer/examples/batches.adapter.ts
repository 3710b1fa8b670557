/** Batches of a site's examples for training: read, decoded and varied while the step before runs; memory holds the batches in use. */
import { seedFrom } from '@graft/core/random';
import { tensor, type Tensor } from '@graft/core/tensor';
import { GraftError } from '@graft/core/error';
import { mixup } from '@graft/models/pipeline/augmentation/mixup';
import { bindInputs, stackExamples, type BatchTensors } from '@graft/models/pipeline/batches/example-tensors';
import type { BatchSource } from '@graft/models/training/batch-source';
import { targetOf } from '@graft/models/training/step-feeds';
import type { TrainingStep } from '@graft/models/training/training-step';

import type { SiteFeatures } from './site-features.adapter.js';
import type { Varying } from './variations.js';

export interface LabelledFeatures {
  readonly features: SiteFeatures;
  /** Class numbers, one an example of `features`. */
  readonly labels: Int32Array;
  readonly varying?: Varying;
}

/**
 * Feeds of a training step: its inputs, and its labels as class numbers, or as shares of the classes where the step takes those.
 * Throws DATA_UNSUITABLE where the step takes other inputs than the examples have, or mixup is asked of a step that takes class numbers.
 */
export function siteBatches(step: TrainingStep, { features, labels, varying }: LabelledFeatures): BatchSource {
  const target = targetOf(step, 'labels');
  const alpha = varying?.augmentation.place === 'after-trunk' ? varying.augmentation.mixup : undefined;
  if (alpha !== undefined && target.dtype !== 'float32') {
    throw new GraftError('DATA_UNSUITABLE', 'mixup needs a loss with soft labels');
  }
  return {
    count: labels.length,
    batch: async (rows, epoch) => {
      const inputs = bindInputs(step.inputs, stackExamples(await features.read(rows, epoch)));
      const chosen = Int32Array.from(rows, (row) => labels[row] ?? -1);
      if (alpha !== undefined && varying !== undefined) {
        const seed = seedFrom('mixup', varying.seed, epoch, ...rows);
        return mixed(inputs, chosen, { alpha, classes: step.classes, seed, target: target.name });
      }
      return {
        ...inputs,
        [target.name]: target.dtype === 'float32' ? shares(chosen, step.classes) : classNumbers(chosen),
      };
    },
  };
}

interface Mixing {
  readonly alpha: number;
  readonly classes: number;
  readonly seed: number;
  readonly target: string;
}

function mixed(inputs: BatchTensors, labels: Int32Array, { target, ...mixing }: Mixing): BatchTensors {
  const [entry, ...others] = Object.entries(inputs);
  if (entry === undefined || others.length > 0 || entry[1].dtype !== 'float32') {
    throw new GraftError('DATA_UNSUITABLE', 'mixup needs examples that are one tensor of float32');
  }
  const { features, targets } = mixup(entry[1], labels, mixing);
  return { [entry[0]]: features, [target]: targets };
}

const classNumbers = (labels: Int32Array): Tensor => tensor('int32', [labels.length], labels);

function shares(labels: Int32Array, classes: number): Tensor {
  const data = new Float32Array(labels.length * classes);
  for (const [row, label] of labels.entries()) data[row * classes + label] = 1;
  return tensor('float32', [labels.length, classes], data);
}
