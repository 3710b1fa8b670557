/** For specs: every optimizer and option of a training step on tfjs against ONNX Runtime, run by run and looped. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { random } from '@graft/core/random';
import { elementCount, tensor, type Tensor } from '@graft/core/tensor';

import type { Model } from '../../graph/graph.js';
import { buildTrainingStep } from '../../training/build-training-step.js';
import { modelOf, relativeError } from '../../training/gradient-graph.contract.js';
import { loopOf } from '../../training/loop.js';
import type { OptimizerSpec } from '../../training/optimizers/optimizer-spec.js';
import { scalarFeeds } from '../../training/step-feeds.js';
import { firstState } from '../../training/step-state.contract.js';
import type { ScalarRole, TargetInput, TrainingStep, TrainingStepOptions } from '../../training/training-step.js';
import { onnxRuntime } from '../onnxruntime.adapter.js';
import type { Feeds, Fetches } from '../runtime.js';
import type { TfjsRuntime } from './tfjs.adapter.js';

const [rows, classes, steps] = [6, 4, 3];

function numbers(seed: number, ...shape: number[]): Tensor<'float32'> {
  const stream = random(seed);
  const data = Float32Array.from({ length: elementCount(shape) }, () => stream.normal() * 0.3);
  return tensor('float32', shape, data);
}

const ones = (...shape: number[]): Tensor => tensor('float32', shape, new Float32Array(elementCount(shape)).fill(1));

const weights = new Map<string, Tensor>([
  ['conv', numbers(1, 6, 3, 3, 3)],
  ['scale', ones(6)],
  ['bias', numbers(2, 6)],
  ['mean', numbers(3, 6)],
  ['var', ones(6)],
  ['hidden', numbers(4, 6, 8)],
  ['head', numbers(5, 8, classes)],
  ['head.bias', numbers(6, classes)],
]);

const model: Model = modelOf(['batch', 3, 6, 6], weights, {
  output: 'logits',
  nodes: (build) => {
    const planes = build.add('Conv', ['x', 'conv'], { pads: [1, 1, 1, 1] });
    const normalized = build.add('Relu', [build.add('BatchNormalization', [planes, 'scale', 'bias', 'mean', 'var'])]);
    const means = build.add('ReduceMean', [normalized, build.ints([2, 3])], { keepdims: 0 });
    const hidden = build.add('Dropout', [build.add('Sigmoid', [build.add('MatMul', [means, 'hidden'])])]);
    return build.add('Gemm', [hidden, 'head', 'head.bias']);
  },
});

const trainable = ['conv', 'scale', 'bias', 'hidden', 'head', 'head.bias'];
const plain = { trainable, loss: 'softmax-cross-entropy', optimizer: { kind: 'sgd' } } as const;

const optimizers: readonly OptimizerSpec[] = [
  { kind: 'sgd', momentum: 0.9, nesterov: true, weightDecay: 0.01 },
  { kind: 'adam' },
  { kind: 'adamw', decayOn: 'matrices' },
  { kind: 'adagrad' },
  { kind: 'rmsprop', momentum: 0.5 },
  { kind: 'lars' },
  { kind: 'lamb' },
];

const cases: Readonly<Record<string, TrainingStepOptions>> = {
  ...Object.fromEntries(optimizers.map((optimizer) => [`the optimizer ${optimizer.kind}`, { ...plain, optimizer }])),
  'statistics of the batch': { ...plain, batchNorm: 'local' },
  'running statistics': { ...plain, batchNorm: { momentum: 0.1 } },
  dropout: { ...plain, dropout: { rate: 0.25 } },
  LoRA: { ...plain, trainable: ['head'], lora: { rank: 2, seed: 1, matching: ['hidden', 'conv'] } },
  'clipped gradients': { ...plain, clipNorm: 0.01 },
  'gradients that are accumulated': { ...plain, accumulate: true },
  'a focal loss': { ...plain, loss: 'focal' },
  'a smoothed loss with weights of classes': {
    ...plain,
    loss: { kind: 'softmax-cross-entropy', smoothing: 0.1, weighted: true, ignoreIndex: -1 },
  },
  'a sigmoid loss': { ...plain, loss: 'sigmoid-cross-entropy' },
  'a squared loss': { ...plain, loss: 'mse' },
  'every regularizer': {
    ...plain,
    regularizers: [
      { kind: 'proximal' },
      { kind: 'control-variate' },
      { kind: 'importance' },
      { kind: 'learning-without-forgetting' },
    ],
  },
  'every metric': {
    ...plain,
    metrics: [
      { kind: 'accuracy' },
      { kind: 'top-k', k: 2 },
      { kind: 'confusion' },
      { kind: 'scores' },
      { kind: 'loss-sum' },
    ],
  },
};

const scalars: Record<ScalarRole, number> = {
  rate: 0.1,
  learningRate: 0.1,
  epsilon: 1e-3,
  seed: 1234,
  lossScale: 1,
  share: 0.5,
  apply: 1,
  proximal: 0.1,
  importance: 0.2,
  distillation: 0.3,
};

function targetFeed({ role, dtype, shape }: TargetInput, seed: number): Tensor {
  const sizes = (shape ?? []).map((size) => (typeof size === 'number' ? size : rows));
  if (dtype === 'int32')
    return tensor(
      'int32',
      sizes,
      Int32Array.from({ length: elementCount(sizes) }, (_, i) => (i + seed) % classes),
    );
  return role === 'class-weights' ? ones(...sizes) : numbers(seed, ...sizes);
}

function feedsOf(step: TrainingStep, seed: number): Feeds {
  return {
    ...firstState(step, weights),
    ...Object.fromEntries(step.references.map(({ input, shape }, i) => [input, numbers(50 + i, ...shape)])),
    ...Object.fromEntries(step.targets.map((target) => [target.name, targetFeed(target, seed)])),
    ...scalarFeeds(step, scalars),
    x: numbers(seed, rows, 3, 6, 6),
  };
}

/** Largest relative error of an output, and its name. */
function errors(got: Fetches, expected: Fetches): [string, number][] {
  const values = (value: Tensor | undefined): number[] => Array.from(value?.data ?? [], Number);
  return Object.entries(expected)
    .map(([name, value]): [string, number] => [name, relativeError(values(got[name]), values(value))])
    .filter(([, error]) => !(error <= 1e-5));
}

async function both(
  step: TrainingStep,
  feeds: Feeds,
  runtime: TfjsRuntime,
): Promise<{ got: Fetches; expected: Fetches }> {
  const purpose = { threads: 1, purpose: 'training' } as const;
  const [reference, other] = [await onnxRuntime.load(step, purpose), await runtime.load(step, purpose)];
  const [expected, got] = [await reference.run(feeds), await other.run(feeds)];
  await Promise.all([reference.dispose(), other.dispose()]);
  return { got, expected };
}

/** K batches one behind the other, scalars too. */
function stacked(values: readonly Tensor[]): Tensor {
  const [first] = values;
  const shape = [values.length, ...(first?.shape ?? [])];
  const data = values.flatMap((value) => Array.from(value.data, Number));
  return first?.dtype === 'int32'
    ? tensor('int32', shape, Int32Array.from(data))
    : tensor('float32', shape, Float32Array.from(data));
}

function loopedFeeds(step: TrainingStep, looped: TrainingStep): Feeds {
  const each = Array.from({ length: steps }, (_, i) => feedsOf(step, 10 + i));
  const fixed = new Set(Object.keys(firstState(step, weights)));
  const names = Object.keys(each[0] ?? {}).map((name) => [name, `loop/${name}`] as const);
  const inputs = new Set(looped.graph.inputs.map(({ name }) => name));
  return Object.fromEntries(
    names.flatMap(([name, outer]): [string, Tensor][] => {
      const values = each.flatMap((feeds) => feeds[name] ?? []);
      const [first] = values;
      if (first === undefined || !inputs.has(outer)) return [];
      return [[outer, fixed.has(name) ? first : stacked(values)]];
    }),
  );
}

/** Registers the suite for a runtime that `open` finds. */
export function describeOptions(backend: string, open: () => Promise<TfjsRuntime>): void {
  describe(`a step on tfjs, backend ${backend},`, () => {
    let runtime: TfjsRuntime;
    beforeAll(async () => {
      runtime = await open();
    });
    afterAll(() => {
      expect(runtime.tf.memory().numTensors).toBe(0);
    });

    it.each(Object.entries(cases))('with %s gives what it gives on ONNX Runtime', async (_, options) => {
      const step = buildTrainingStep(model, options);
      const { got, expected } = await both(step, feedsOf(step, 7), runtime);
      expect(errors(got, expected)).toEqual([]);
      expect(Object.keys(expected).length).toBeGreaterThan(4);
    });

    it('leaves the same in a loop', async () => {
      const step = buildTrainingStep(model, { ...plain, optimizer: { kind: 'adam' }, batchNorm: { momentum: 0.1 } });
      const looped = loopOf(step);
      const { got, expected } = await both(looped, loopedFeeds(step, looped), runtime);
      expect(errors(got, expected)).toEqual([]);
      expect(expected[looped.loss]?.shape).toEqual([steps]);
    });
  });
}
