/** Steps in a Loop against the same steps one run at a time, bit for bit. */
import { random } from '@graft/core/random';
import { elementCount, tensor, type Tensor } from '@graft/core/tensor';

import { denseHead } from '../architectures/dense-head.js';
import { smallCnn } from '../architectures/small-cnn.js';
import type { Model } from '../graph/graph.js';
import { onnxRuntime } from '../runtime/onnxruntime.adapter.js';
import type { Fetches } from '../runtime/runtime.js';
import { buildTrainingStep } from './build-training-step.js';
import { loopOf, stepsPerRun } from './loop.js';
import type { OptimizerSpec } from './optimizers/optimizer-spec.js';
import { stepScalars } from './optimizers/step-scalars.js';
import { StateBuffers } from './state-buffers.js';
import type { TrainingStep } from './training-step.js';

const batchSize = 5;
const classes = 3;

const models: Readonly<Record<string, Model>> = {
  'dense head': denseHead({ inputs: 6, hidden: 4, classes }, 1),
  'small cnn': smallCnn({ channels: 1, size: 8, widths: [3, 4], hidden: 6, classes }, 1),
};

function batchesOf(model: Model, count: number): { features: Float32Array; labels: Int32Array; shape: number[] } {
  const stream = random(3);
  const shape = [batchSize, ...(model.graph.inputs[0]?.shape?.slice(1).map(Number) ?? [])];
  return {
    features: Float32Array.from({ length: count * elementCount(shape) }, () => stream.normal()),
    labels: Int32Array.from({ length: count * batchSize }, () => stream.below(classes)),
    shape,
  };
}

type Batches = ReturnType<typeof batchesOf>;

/** Feeds of the steps from `begin` to `end`: with an axis of steps, or of one step alone. */
function feedsOf(
  step: TrainingStep,
  { features, labels, shape }: Batches,
  span: { begin: number; end?: number },
): Record<string, Tensor> {
  const { begin, end } = span;
  const count = (end ?? begin + 1) - begin;
  const axis = end === undefined ? [] : [count];
  const size = elementCount(shape);
  const scalars = Array.from({ length: count }, (_, i) => stepScalars(step.optimizer, 0.01, begin + i + 1));
  const named = Object.entries(step.scalars).map(([role, name]) => {
    const values = scalars.map((each) => each[role as keyof (typeof scalars)[number]]);
    return [name, tensor('float32', axis, Float32Array.from(values))] as const;
  });
  return {
    ...Object.fromEntries(named),
    [step.inputs[0]?.name ?? '']: tensor(
      'float32',
      [...axis, ...shape],
      features.slice(begin * size, (begin + count) * size),
    ),
    [step.targets[0]?.name ?? '']: tensor(
      'int32',
      [...axis, batchSize],
      labels.slice(begin * batchSize, (begin + count) * batchSize),
    ),
  };
}

/** All losses, and the weights at the end, of steps in runs of the given lengths; 0 is a run of one step without the loop. */
async function trained(model: Model, optimizer: OptimizerSpec, runs: readonly number[]) {
  const single = buildTrainingStep(model, {
    trainable: [...model.weights.keys()].filter((name) => !name.includes('/')),
    loss: 'softmax-cross-entropy',
    optimizer,
  });
  const looped = runs.every((length) => length > 0);
  const step = looped ? loopOf(single) : single;
  const session = await onnxRuntime.load(step, { threads: 1, purpose: 'training' });
  const state = new StateBuffers(step, model.weights);
  const total = runs.reduce((sum, length) => sum + Math.max(1, length), 0);
  const batches = batchesOf(model, total);
  const losses: number[] = [];
  let begin = 0;
  for (const length of runs) {
    const span = looped ? { begin, end: begin + length } : { begin };
    const fetches: Fetches = await session.run({ ...feedsOf(step, batches, span), ...state.feeds() }, state.into());
    state.advance();
    losses.push(...Array.from(fetches[step.loss]?.data ?? [], Number));
    begin += Math.max(1, length);
  }
  await session.dispose();
  return { losses, weights: state.values() };
}

describe('steps in a loop', () => {
  it.each(
    Object.keys(models).flatMap((name) =>
      [{ kind: 'sgd', momentum: 0.9 } as const, { kind: 'adam' } as const].map(
        (optimizer) => [name, optimizer] as const,
      ),
    ),
  )('of the %s give the losses and weights of single steps, %j', async (name, optimizer) => {
    const model = models[name] ?? denseHead({ inputs: 1, hidden: 1, classes }, 1);
    const alone = await trained(model, optimizer, [0, 0, 0, 0, 0, 0, 0]);
    expect(await trained(model, optimizer, [7])).toEqual(alone);
    expect(await trained(model, optimizer, [4, 1, 2])).toEqual(alone);
    expect(new Set(alone.losses).size).toBe(7);
  });
});

describe('the steps of a run', () => {
  /** A batch of this many numbers and one label. */
  const stepOf = (numbers: number): TrainingStep => ({
    ...buildTrainingStep(denseHead({ inputs: 2, hidden: 2, classes }, 1), {
      trainable: ['fc2.bias'],
      loss: 'softmax-cross-entropy',
      optimizer: { kind: 'sgd' },
    }),
    inputs: [{ name: 'input', dtype: 'float32', shape: [1, numbers] }],
  });

  it.each([
    ['fill a fifth of a second', 100, 50, 4],
    ['are one where a step is long', 100, 500, 1],
    ['are one where a batch is large', 10_000_000, 1, 1],
    ['have batches that a cache holds', 2 ** 18, 1, 3],
    ['are not more than the losses that a run gives back', 1, 0.001, 200],
  ])('%s', (_, numbers, stepMs, steps) => {
    expect(stepsPerRun(stepOf(numbers), stepMs)).toBe(steps);
  });
});
