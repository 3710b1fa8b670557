/** For specs: small networks with every layer of the large ones, and batches for them. */
import { random } from '@graft/core/random';
import { elementCount, tensor, type Tensor } from '@graft/core/tensor';

import { denseHead } from '../../architectures/dense-head.js';
import { lstmClassifier } from '../../architectures/lstm-classifier.js';
import { mobileNetV2 } from '../../architectures/mobilenet-v2.js';
import { resnet18 } from '../../architectures/resnet18.js';
import { smallCnn } from '../../architectures/small-cnn.js';
import { transformerClassifier } from '../../architectures/transformer-classifier.js';
import type { Model } from '../../graph/graph.js';
import { buildTrainingStep } from '../../training/build-training-step.js';
import { targetOf } from '../../training/step-feeds.js';
import type { TrainingStep } from '../../training/training-step.js';
import type { Feeds } from '../runtime.js';

export interface Net {
  readonly model: Model;
  readonly example: readonly number[];
  readonly vocabulary?: number;
}

const rows = 4;
export const options = { threads: 1, purpose: 'training' } as const;

/** Small, and with every layer of the large ones. */
export const nets: Readonly<Record<string, () => Net>> = {
  'a dense head': () => ({ model: denseHead({ inputs: 24, hidden: 16, classes: 5 }, 1), example: [24] }),
  'a convolutional net': () => ({
    model: smallCnn({ channels: 2, size: 12, widths: [4, 6], hidden: 16, classes: 5 }, 2),
    example: [2, 12, 12],
  }),
  MobileNetV2: () => ({
    model: mobileNetV2(
      {
        size: 32,
        width: 0.25,
        classes: 5,
        stages: [
          [1, 16, 1, 1],
          [6, 24, 2, 2],
        ],
        lastChannels: 64,
      },
      3,
    ),
    example: [3, 32, 32],
  }),
  ResNet18: () => ({ model: resnet18({ size: 32, classes: 5, width: 4 }, 4), example: [3, 32, 32] }),
  'a transformer': () => ({
    model: transformerClassifier(
      { width: 16, heads: 2, layers: 2, positions: 6, classes: 5, input: { vocabulary: 11 }, norm: 'after' },
      5,
    ),
    example: [6],
    vocabulary: 11,
  }),
  'an LSTM': () => ({
    model: lstmClassifier({ steps: 5, inputs: 3, hidden: 6, layers: 2, classes: 5 }, 6),
    example: [5, 3],
  }),
};

/** Throws for a name that `nets` does not have. */
export function netOf(name: string): Net {
  const net = nets[name];
  if (net === undefined) throw new Error(`no net '${name}'`);
  return net();
}

export function batch(step: TrainingStep, { example, vocabulary }: Net, seed: number): Feeds {
  const stream = random(seed);
  const shape = [rows, ...example];
  const count = elementCount(shape);
  const x: Tensor =
    vocabulary === undefined
      ? tensor(
          'float32',
          shape,
          Float32Array.from({ length: count }, () => stream.normal()),
        )
      : tensor(
          'int64',
          shape,
          BigInt64Array.from({ length: count }, () => BigInt(Math.floor(stream.next() * vocabulary))),
        );
  const labels = Int32Array.from({ length: rows }, () => Math.floor(stream.next() * 5));
  return { [step.inputs[0]?.name ?? '']: x, [targetOf(step, 'labels').name]: tensor('int32', [rows], labels) };
}

export function stepOf({ model, example }: Net, optimizer: TrainingStep['optimizer']): TrainingStep {
  const input = model.graph.inputs[0]?.name ?? '';
  const inputShapes = { [input]: ['batch', ...example] };
  return buildTrainingStep(model, { trainable: 'all', loss: 'softmax-cross-entropy', optimizer, inputShapes });
}
