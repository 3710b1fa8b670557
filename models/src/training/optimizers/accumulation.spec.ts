/** Micro-batches against the batch that they make, and float16 against float32. */
import type { Tensor } from '@graft/core/tensor';

import { onnxRuntime } from '../../runtime/onnxruntime.adapter.js';
import { buildTrainingStep } from '../build-training-step.js';
import { float, headModel, readVectors, rowsOf, runSteps, type HeadData } from '../golden-head.contract.js';
import { relativeError } from '../gradient-graph.contract.js';
import { scalarFeeds } from '../step-feeds.js';
import { firstState, nextState, weightsIn } from '../step-state.contract.js';
import type { TrainingStep, TrainingStepOptions } from '../training-step.js';
import type { OptimizerSpec } from './optimizer-spec.js';
import { stepScalars } from './step-scalars.js';

const data = readVectors<HeadData>('optimizers');
const trainable = Object.keys(data.weights);
const rate = 0.05;

const stepOf = (more: Partial<TrainingStepOptions>): TrainingStep =>
  buildTrainingStep(headModel(data), {
    trainable,
    loss: 'softmax-cross-entropy',
    optimizer: { kind: 'sgd' },
    ...more,
  });

const initial = (): Map<string, Tensor> =>
  new Map(Object.entries(data.weights).map(([name, value]) => [name, float(value)]));

/** Three updates over all rows, each from micro-batches that end at `bounds`. */
async function accumulated(
  optimizer: OptimizerSpec,
  bounds: readonly number[],
  more: Partial<TrainingStepOptions> = {},
) {
  const step = stepOf({ optimizer, accumulate: true, ...more });
  const session = await onnxRuntime.load(step, { threads: 1, purpose: 'training' });
  let state = firstState(step, initial());
  const seen: Record<string, Tensor>[] = [];
  for (let update = 1; update <= 3; update++) {
    for (const [i, end] of bounds.entries()) {
      const begin = bounds[i - 1] ?? 0;
      const values = {
        ...stepScalars(optimizer, rate, update),
        share: (end - begin) / data.labels.length,
        apply: end === data.labels.length ? 1 : 0,
      };
      const fetches = await session.run({
        ...state,
        ...rowsOf(data, [begin, end], step),
        ...scalarFeeds(step, values),
      });
      state = nextState(step, fetches);
      seen.push(state);
    }
  }
  await session.dispose();
  return { weights: weightsIn(step, state), seen, step };
}

describe('accumulation', () => {
  it.each<[string, OptimizerSpec, Partial<TrainingStepOptions>]>([
    ['SGD with momentum', { kind: 'sgd', momentum: 0.9 }, {}],
    ['Adam', { kind: 'adam' }, {}],
    ['AdamW with clipping', { kind: 'adamw' }, { clipNorm: 0.1 }],
  ])('of unequal micro-batches under %s gives the weights of the whole batch', async (_, optimizer, more) => {
    const whole = await runSteps(
      stepOf({ optimizer, ...more }),
      { ...data, batch: data.labels.length },
      { count: 3, learningRate: rate },
    );
    const { weights } = await accumulated(optimizer, [3, 4, 10], more);
    for (const name of trainable) {
      expect(relativeError(weights.get(name)?.data ?? [], whole.weights.get(name)?.data ?? [])).toBeLessThanOrEqual(
        1e-6,
      );
    }
  });

  it('leaves weights and optimizer alone until the last micro-batch, and starts again at zero', async () => {
    const { seen, step } = await accumulated({ kind: 'sgd', momentum: 0.9 }, [4, 10]);
    const [first = {}, second = {}] = seen;
    for (const [name, { input }] of step.weightSlots) expect(first[input]?.data).toEqual(initial().get(name)?.data);
    const kept = step.stateSlots.filter(({ input }) => input.startsWith('train/state'));
    for (const { input } of kept)
      expect(Array.from(first[input]?.data ?? [1], Number).every((value) => value === 0)).toBe(true);
    const sums = step.stateSlots.filter(({ input }) => input.startsWith('train/accumulated'));
    expect(sums).toHaveLength(1);
    for (const { input } of sums) {
      expect(Array.from(first[input]?.data ?? [], Number).some((value) => value !== 0)).toBe(true);
      expect(Array.from(second[input]?.data ?? [1], Number).every((value) => value === 0)).toBe(true);
    }
  });
});

describe('float16', () => {
  const half = (more: Partial<TrainingStepOptions> = {}): TrainingStep => stepOf({ precision: 'float16', ...more });

  it('trains float32 weights to within the resolution of half precision, whatever the loss scale', async () => {
    const steps = { count: 10, learningRate: rate };
    const { weights } = await runSteps(stepOf({}), data, steps);
    for (const lossScale of [1, 1024]) {
      const found = await runSteps(half(), data, { ...steps, scalars: { lossScale } });
      for (const name of trainable) {
        const value = found.weights.get(name);
        expect(value?.dtype).toBe('float32');
        const error = relativeError(value?.data ?? [], weights.get(name)?.data ?? []);
        expect(error).toBeLessThan(2e-3);
        expect(error).toBeGreaterThan(0);
      }
    }
  });

  it('changes nothing where a gradient is not finite, and says so', async () => {
    const step = half({ optimizer: { kind: 'sgd', momentum: 0.9 } });
    const session = await onnxRuntime.load(step, { threads: 1, purpose: 'training' });
    const state = firstState(step, initial());
    const run = async (lossScale: number) => {
      const values = { ...stepScalars(step.optimizer, rate, 1), lossScale };
      return session.run({ ...state, ...rowsOf(data, [0, 4], step), ...scalarFeeds(step, values) });
    };
    const [good, bad] = [await run(1024), await run(1e30)];
    await session.dispose();
    expect([good, bad].map((fetches) => fetches[step.finite ?? '']?.data[0])).toEqual([1, 0]);
    const after = nextState(step, bad);
    for (const [input, value] of Object.entries(state)) expect(after[input]).toEqual(value);
    expect(nextState(step, good)).not.toEqual(state);
  });

  it('multiplies matrices in half precision and nothing else', () => {
    const { nodes } = half().graph;
    const halves = new Set(
      nodes.flatMap(({ op, outputs, attributes }) => (op === 'Cast' && attributes['to']?.value === 10 ? outputs : [])),
    );
    const products = nodes.filter(({ op }) => op === 'Gemm' || op === 'MatMul');
    expect(products.length).toBeGreaterThanOrEqual(2);
    const [forward] = products;
    expect(forward?.inputs.every((name) => halves.has(name))).toBe(true);
  });
});
