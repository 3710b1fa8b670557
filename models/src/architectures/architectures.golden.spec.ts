/** Gradients of whole networks against PyTorch: test/vectors/make_architecture_vectors.py wrote the numbers, in float64. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { elementCount, tensor, type Tensor } from '@graft/core/tensor';

import type { Model } from '../graph/graph.js';
import { onnxRuntime } from '../runtime/onnxruntime.adapter.js';
import { buildTrainingStep } from '../training/build-training-step.js';
import { denseHead, type DenseHeadOptions } from './dense-head.js';
import { mobileNetV2, type MobileNetV2Options } from './mobilenet-v2.js';
import { resnet18, type ResNet18Options } from './resnet18.js';
import { smallCnn, type SmallCnnOptions } from './small-cnn.js';
import { transformerClassifier, type TransformerClassifierOptions } from './transformer-classifier.js';

interface Case {
  readonly net: string;
  readonly options: unknown;
  readonly example: readonly number[];
  /** Statistics of the batch, where given; else the running ones. */
  readonly batchNorm?: 'local';
  readonly labels: readonly number[];
  /** Names in the order of their numbers. */
  readonly weights: readonly string[];
  readonly loss: number;
  readonly gradients: Readonly<Record<string, Gradient>>;
}

interface Gradient {
  readonly norm: number;
  readonly samples: readonly number[];
}

const path = join(import.meta.dirname, '../../../test/vectors/architectures.json');
const { cases } = JSON.parse(readFileSync(path, 'utf8')) as { cases: readonly Case[] };

const nets: Readonly<Record<string, (options: unknown) => Model>> = {
  'dense head': (options) => denseHead(options as DenseHeadOptions, 1),
  'small cnn': (options) => smallCnn(options as SmallCnnOptions, 1),
  'mobilenet-v2': (options) => mobileNetV2(options as MobileNetV2Options, 1),
  resnet18: (options) => resnet18(options as ResNet18Options, 1),
  transformer: (options) => transformerClassifier(options as TransformerClassifierOptions, 1),
};

/** Numbers in +-1 (Park and Miller, 1988), as the script makes them. */
function numbers(seed: number, count: number): number[] {
  let state = seed * 7919 + 17;
  return Array.from({ length: count }, () => {
    state = (state * 48271) % 2147483647;
    return (state / 2147483647) * 2 - 1;
  });
}

function startOf(name: string, shape: readonly number[], seed: number): Tensor<'float32'> {
  const values = numbers(seed, elementCount(shape));
  const scale = Math.sqrt(6 / elementCount(shape.slice(1)));
  const offset = name.endsWith('.weight') ? 1 : 0;
  const placed = values.map((value) => {
    if (name.endsWith('running_var')) return 1 + 0.5 * value;
    return shape.length === 1 ? offset + 0.2 * value : scale * value;
  });
  return tensor('float32', shape, Float32Array.from(placed));
}

function inputOf({ example, labels, options }: Case): Tensor {
  const shape = [labels.length, ...example];
  const values = numbers(1, elementCount(shape));
  const { input } = options as { input?: { vocabulary?: number } };
  const vocabulary = input?.vocabulary;
  if (vocabulary === undefined) return tensor('float32', shape, Float32Array.from(values));
  const tokens = values.map((value) => BigInt(Math.floor(((value + 1) / 2) * vocabulary)));
  return tensor('int64', shape, BigInt64Array.from(tokens));
}

/** The network with the script's numbers for its weights; constants stay. */
function netOf({ net, options, weights }: Case): Model {
  const model = nets[net]?.(options);
  if (model === undefined) throw new Error(`no network '${net}'`);
  const places = new Map(weights.map((name, i) => [name, i + 2]));
  const values = [...model.weights].map(([name, value]): [string, Tensor] => {
    const seed = places.get(name);
    return [name, seed === undefined ? value : startOf(name, value.shape, seed)];
  });
  return { ...model, weights: new Map(values) };
}

/** One step of gradient descent so long that the new weights are the gradients, times -rate, to their last digits. */
const rate = 2 ** 30;

async function gradientsOf(model: Model, one: Case): Promise<{ loss: number; gradients: Map<string, number[]> }> {
  const trainable = Object.keys(one.gradients);
  const step = buildTrainingStep(model, {
    trainable,
    loss: 'softmax-cross-entropy',
    optimizer: { kind: 'sgd' },
    batchNorm: one.batchNorm ?? 'frozen',
  });
  const session = await onnxRuntime.load(step, { threads: 1, purpose: 'training' });
  const [input, target] = [step.inputs[0]?.name ?? '', step.targets[0]?.name ?? ''];
  const start = trainable.map((name) => [step.weightSlots.get(name)?.input ?? '', model.weights.get(name)] as const);
  const fetches = await session.run({
    ...Object.fromEntries(start.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]))),
    [input]: inputOf(one),
    [target]: tensor('int32', [one.labels.length], Int32Array.from(one.labels)),
    [step.scalars.rate ?? '']: tensor('float32', [], Float32Array.of(rate)),
  });
  await session.dispose();
  const gradients = trainable.map((name): [string, number[]] => {
    const before = Array.from(model.weights.get(name)?.data ?? [], Number);
    const after = fetches[step.weightSlots.get(name)?.output ?? '']?.data ?? [];
    return [name, before.map((value, i) => (value - Number(after[i])) / rate)];
  });
  return { loss: Number(fetches[step.loss]?.data[0]), gradients: new Map(gradients) };
}

/**
 * Largest difference of the samples and of the norm, against the norm of a sample of that size.
 * What is zero but for rounding, as the gradient of a bias whose sum is normalised away, is compared with the largest gradient.
 */
function errorOf(gradient: readonly number[], expected: Gradient, largest: number): number {
  const { samples } = expected;
  const norm = expected.norm < 1e-9 * largest ? largest : expected.norm;
  const count = samples.length;
  const typical = norm / Math.sqrt(gradient.length);
  const places = samples.map((_, i) => gradient[Math.floor((i * gradient.length) / count)] ?? NaN);
  const squares = places.map((value, i) => (value - (samples[i] ?? NaN)) ** 2);
  const rootMeanSquare = Math.sqrt(squares.reduce((sum, value) => sum + value, 0) / count);
  const ownNorm = Math.sqrt(gradient.reduce((sum, value) => sum + value ** 2, 0));
  return Math.max(rootMeanSquare / typical, Math.abs(ownNorm - expected.norm) / norm);
}

/** Statistics of a small batch lose digits: PyTorch's own float32 is as far from its float64. */
const tolerance = ({ batchNorm }: Case): number => (batchNorm === undefined ? 1e-5 : 5e-5);

describe('a network as a model', () => {
  it.each(cases.map((one) => [`${one.net} ${JSON.stringify(one.options)} ${one.batchNorm ?? ''}`, one] as const))(
    '%s has the loss and gradients of PyTorch',
    async (_, one) => {
      const { loss, gradients } = await gradientsOf(netOf(one), one);
      expect(Math.abs(loss - one.loss) / one.loss).toBeLessThanOrEqual(1e-5);
      const largest = Math.max(...Object.values(one.gradients).map(({ norm }) => norm));
      const wrong = Object.entries(one.gradients)
        .map(([name, expected]) => [name, errorOf(gradients.get(name) ?? [], expected, largest)] as const)
        .filter(([, error]) => !(error <= tolerance(one)));
      expect(wrong).toEqual([]);
    },
  );

  it('starts from the same weights for the same seed, and from others for another', () => {
    const [a, b, c] = [1, 1, 2].map((seed) =>
      denseHead({ inputs: 4, hidden: 3, classes: 2 }, seed).weights.get('fc1.weight'),
    );
    expect(a).toEqual(b);
    expect(a).not.toEqual(c);
  });
});
