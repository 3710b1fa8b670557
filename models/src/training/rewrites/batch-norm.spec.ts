/** Batch normalization in training against PyTorch: test/vectors/make_batch_norm.py wrote the numbers, in float64. */
import { tensor, type Tensor } from '@graft/core/tensor';

import type { Dimension, Model } from '../../graph/graph.js';
import { onnxRuntime } from '../../runtime/onnxruntime.adapter.js';
import { buildTrainingStep } from '../build-training-step.js';
import { float, readVectors, type HeadData, type Numbers } from '../golden-head.contract.js';
import { modelOf, relativeError } from '../gradient-graph.contract.js';
import { scalarFeeds, targetOf } from '../step-feeds.js';
import { firstState, nextState, weightsIn } from '../step-state.contract.js';
import type { BatchNormMode, TrainingStep } from '../training-step.js';

interface Vectors extends HeadData {
  readonly momentum: number;
  readonly learningRate: number;
  readonly statistics: Readonly<Record<string, Numbers>>;
  readonly losses: readonly number[];
  readonly trained: Readonly<Record<string, Numbers>>;
  readonly running: Readonly<Record<string, Numbers>>;
}

const vectors = readVectors<Vectors>('batch-norm');
const initial = new Map<string, Tensor>(
  Object.entries({ ...vectors.weights, ...vectors.statistics }).map(([name, value]) => [name, float(value)]),
);

function net(batch: Dimension): Model {
  return modelOf([batch, 3, 5, 5], initial, {
    output: 'logits',
    nodes: (build) => {
      const normalized = (x: string, name: string, epsilon: number): string =>
        build.add('BatchNormalization', [x, ...['scale', 'bias', 'mean', 'var'].map((part) => `${name}.${part}`)], {
          epsilon: { float: epsilon },
        });
      const planes = build.add('Relu', [
        normalized(build.add('Conv', ['x', 'conv.w'], { pads: [1, 1, 1, 1] }), 'bn1', 1e-5),
      ]);
      const means = build.add('ReduceMean', [planes, build.ints([2, 3])], { keepdims: 0 });
      return build.add('Gemm', [normalized(means, 'bn2', 1e-3), 'head.weight', 'head.bias'], { transB: 1 });
    },
  });
}

const stepOf = (batchNorm: BatchNormMode, batch: Dimension = 'batch'): TrainingStep =>
  buildTrainingStep(net(batch), {
    trainable: Object.keys(vectors.weights),
    loss: 'softmax-cross-entropy',
    optimizer: { kind: 'sgd' },
    batchNorm,
  });

async function run(step: TrainingStep): Promise<{ losses: number[]; values: Map<string, Tensor<'float32'>> }> {
  const session = await onnxRuntime.load(step, { threads: 1, purpose: 'training' });
  let state = firstState(step, initial);
  const losses: number[] = [];
  for (let i = 0; i < vectors.losses.length; i++) {
    const fetches = await session.run({
      ...state,
      x: float(vectors.features),
      [targetOf(step, 'labels').name]: tensor('int32', [vectors.batch], Int32Array.from(vectors.labels)),
      ...scalarFeeds(step, { rate: vectors.learningRate, lossScale: 256 }),
    });
    losses.push(Number(fetches[step.loss]?.data[0]));
    state = nextState(step, fetches);
  }
  await session.dispose();
  return { losses, values: weightsIn(step, state) };
}

function expectClose(
  values: ReadonlyMap<string, Tensor<'float32'>>,
  expected: Readonly<Record<string, Numbers>>,
): void {
  const wrong = Object.entries(expected).filter(
    ([name, { data }]) => !(relativeError(values.get(name)?.data ?? [], data) <= 1e-5),
  );
  expect(wrong.map(([name]) => name)).toEqual([]);
}

describe('batch normalization in training', () => {
  it.each<[string, Dimension]>([
    ['a batch of any size', 'batch'],
    ['a fixed batch', 6],
  ])('with momentum moves weights and running statistics as PyTorch does, for %s', async (_, batch) => {
    const step = stepOf({ momentum: vectors.momentum }, batch);
    const { losses, values } = await run(step);
    expect(relativeError(losses, vectors.losses)).toBeLessThanOrEqual(1e-5);
    expectClose(values, { ...vectors.trained, ...vectors.running });
    expect([...step.statisticSlots.keys()].sort()).toEqual(Object.keys(vectors.statistics).sort());
  });

  it('by its own statistics alone trains the same weights and keeps none', async () => {
    const step = stepOf('local');
    const { losses, values } = await run(step);
    expect(relativeError(losses, vectors.losses)).toBeLessThanOrEqual(1e-5);
    expectClose(values, vectors.trained);
    expect(step.statisticSlots.size).toBe(0);
    expect([...step.weights.keys()].filter((name) => /bn\d\.(mean|var)/.test(name))).toEqual([]);
  });

  it('trains nearly the same in float16 products', async () => {
    const step = buildTrainingStep(net('batch'), {
      trainable: Object.keys(vectors.weights),
      loss: 'softmax-cross-entropy',
      optimizer: { kind: 'sgd' },
      batchNorm: 'local',
      precision: 'float16',
    });
    const { losses } = await run(step);
    expect(relativeError(losses, vectors.losses)).toBeLessThan(5e-3);
  });

  it('with frozen statistics is another loss', async () => {
    const { losses } = await run(stepOf('frozen'));
    expect(Math.abs((losses[0] ?? NaN) - (vectors.losses[0] ?? NaN))).toBeGreaterThan(0.01);
  });

  it('gives each node two tensors to write over that nothing else reads and no other equals', () => {
    const { graph, weights } = stepOf('local');
    const written = graph.nodes.flatMap(({ op, inputs, attributes }) =>
      op === 'BatchNormalization' && attributes['training_mode']?.value === 1 ? inputs.slice(3) : [],
    );
    expect(written).toHaveLength(4);
    expect(graph.nodes.flatMap(({ inputs }) => inputs.filter((name) => written.includes(name)))).toHaveLength(4);
    expect(new Set(written.map((name) => weights.get(name)?.data.join())).size).toBe(4);
  });

  it('needs two rows where a node sees one place of each example, and refuses a batch of one', () => {
    expect(stepOf('local').leastRows).toBe(2);
    expect(stepOf('frozen').leastRows).toBe(1);
    expect(() => stepOf('local', 1)).toThrow(/a batch of one cannot be normalised by its own statistics/);
    expect(() => stepOf('frozen', 1)).not.toThrow();
  });

  it.each([0, -0.1, 1.5, NaN])('has no momentum %d', (momentum) => {
    expect(() => stepOf({ momentum })).toThrow(expect.objectContaining({ code: 'MODEL_UNSUPPORTED' }));
  });
});
