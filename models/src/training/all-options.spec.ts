/** Every option at once: a step runs, moves what it should, and gives in a Loop what it gives run by run. */
import { random } from '@graft/core/random';
import { bytesOf, elementCount, tensor, type Tensor } from '@graft/core/tensor';

import { validateGraph } from '../graph/validate.js';
import { onnxRuntime } from '../runtime/onnxruntime.adapter.js';
import { buildTrainingStep } from './build-training-step.js';
import { modelOf } from './gradient-graph.contract.js';
import { loopOf } from './loop.js';
import { scalarFeeds, targetOf } from './step-feeds.js';
import { firstState, nextState } from './step-state.contract.js';
import type { ScalarRole, TargetRole, TrainingStep } from './training-step.js';

function numbers(seed: number, ...shape: number[]): Tensor<'float32'> {
  const stream = random(seed);
  return tensor(
    'float32',
    shape,
    Float32Array.from({ length: elementCount(shape) }, () => stream.normal() * 0.3),
  );
}

const ones = (...shape: number[]): Tensor => tensor('float32', shape, new Float32Array(elementCount(shape)).fill(1));

const weights = new Map<string, Tensor>([
  ['conv', numbers(1, 6, 3, 3, 3)],
  ['scale', ones(6)],
  ['bias', numbers(2, 6)],
  ['mean', numbers(3, 6)],
  ['var', ones(6)],
  ['hidden', numbers(4, 6, 8)],
  ['head', numbers(5, 8, 4)],
  ['head.bias', numbers(6, 4)],
]);

const model = modelOf(['batch', 3, 6, 6], weights, {
  output: 'logits',
  nodes: (build) => {
    const planes = build.add('Conv', ['x', 'conv'], { pads: [1, 1, 1, 1] });
    const normalized = build.add('Relu', [build.add('BatchNormalization', [planes, 'scale', 'bias', 'mean', 'var'])]);
    const means = build.add('ReduceMean', [normalized, build.ints([2, 3])], { keepdims: 0 });
    const hidden = build.add('Dropout', [build.add('Relu', [build.add('MatMul', [means, 'hidden'])])]);
    return build.add('Gemm', [hidden, 'head', 'head.bias']);
  },
});

const step = buildTrainingStep(model, {
  trainable: { matching: ['conv', 'scale', 'bias', 'head*'] },
  loss: { kind: 'softmax-cross-entropy', smoothing: 0.1, weighted: true, ignoreIndex: -1 },
  optimizer: { kind: 'adamw', decayOn: 'matrices' },
  batchNorm: { momentum: 0.1 },
  lora: { rank: 2, seed: 1, matching: ['hidden'] },
  regularizers: [
    { kind: 'proximal' },
    { kind: 'control-variate' },
    { kind: 'importance' },
    { kind: 'learning-without-forgetting' },
  ],
  dropout: { rate: 0.25 },
  metrics: [
    { kind: 'accuracy' },
    { kind: 'top-k', k: 2 },
    { kind: 'confusion' },
    { kind: 'scores' },
    { kind: 'loss-sum' },
  ],
  clipNorm: 1,
  accumulate: true,
  precision: 'float16',
});

const batch = 5;
const steps = 4;

/** Micro-batches of two: the second one applies. */
const scalarsAt = (i: number): Record<ScalarRole, number> => ({
  rate: 0.01,
  learningRate: 0.01,
  epsilon: 1e-8,
  seed: 1000 + i,
  lossScale: 64,
  share: 0.5,
  apply: i % 2,
  proximal: 0.1,
  importance: 0.2,
  distillation: 0.3,
});

const labelsAt = (i: number): Tensor => tensor('int32', [batch], Int32Array.of(0, 1, 2, i % 4, -1));

const constant = (): Record<string, Tensor> =>
  Object.fromEntries(step.references.map(({ input, shape }, i) => [input, numbers(50 + i, ...shape)]));

const teacher = targetOf(step, 'teacher').name;

async function stepped(): Promise<{
  state: Record<string, Tensor>;
  losses: number[];
  states: Record<string, Tensor>[];
}> {
  const session = await onnxRuntime.load(step, { threads: 1, purpose: 'training' });
  const states = [firstState(step, weights)];
  const losses: number[] = [];
  for (let i = 0; i < steps; i++) {
    const fetches = await session.run({
      ...states.at(-1),
      ...constant(),
      x: numbers(10 + i, batch, 3, 6, 6),
      [targetOf(step, 'labels').name]: labelsAt(i),
      [teacher]: numbers(20 + i, batch, 4),
      [targetOf(step, 'class-weights').name]: ones(4),
      ...scalarFeeds(step, scalarsAt(i)),
    });
    expect(fetches[step.finite ?? '']?.data[0]).toBe(1);
    losses.push(Number(fetches[step.loss]?.data[0]));
    states.push(nextState(step, fetches));
  }
  await session.dispose();
  return { state: states.at(-1) ?? {}, losses, states };
}

const same = (a: Tensor | undefined, b: Tensor | undefined): boolean =>
  a !== undefined && b !== undefined && Buffer.from(bytesOf(a)).equals(bytesOf(b));

describe('a step with every option', () => {
  it('is a graph that keeps the rules, with every input used', () => {
    expect(() => validateGraph(step.graph)).not.toThrow();
    const read = new Set(step.graph.nodes.flatMap(({ inputs }) => inputs));
    expect(step.graph.inputs.map(({ name }) => name).filter((name) => !read.has(name))).toEqual([]);
  });

  it('moves weights and factors at the last micro-batch, and running statistics at each', async () => {
    const { states, losses } = await stepped();
    expect(losses.every((loss) => Number.isFinite(loss))).toBe(true);
    const moved = (i: number, inputs: readonly string[]): boolean[] =>
      inputs.map((input) => !same(states[i]?.[input], states[i + 1]?.[input]));
    const ofWeights = [...step.weightSlots.values()].map(({ input }) => input);
    const ofStatistics = [...step.statisticSlots.values()].map(({ input }) => input);
    expect(ofWeights).toEqual(['conv', 'scale', 'bias', 'head', 'head.bias', 'lora/hidden/A', 'lora/hidden/B']);
    expect(new Set(moved(0, ofWeights))).toEqual(new Set([false]));
    expect(new Set(moved(1, ofWeights))).toEqual(new Set([true]));
    for (let i = 0; i < steps; i++) expect(new Set(moved(i, ofStatistics))).toEqual(new Set([true]));
  });

  it('gives the same bits again', async () => {
    const [first, second] = [await stepped(), await stepped()];
    expect(first.losses).toEqual(second.losses);
    const different = Object.entries(first.state).filter(([input, value]) => !same(value, second.state[input]));
    expect(different.map(([input]) => input)).toEqual([]);
  });
});

describe('a step with every option, looped', () => {
  const stacked = (values: readonly Tensor[]): Tensor => {
    const [first] = values;
    const shape = [values.length, ...(first?.shape ?? [])];
    const data = values.flatMap((value) => Array.from(value.data, Number));
    return first?.dtype === 'int32'
      ? tensor('int32', shape, Int32Array.from(data))
      : tensor('float32', shape, Float32Array.from(data));
  };
  const each = <T>(make: (i: number) => T): T[] => Array.from({ length: steps }, (_, i) => make(i));

  it('leaves what its runs leave', async () => {
    const looped: TrainingStep = loopOf(step);
    const session = await onnxRuntime.load(looped, { threads: 1, purpose: 'training' });
    const target = (role: TargetRole): string => targetOf(looped, role).name;
    const scalars = each(scalarsAt);
    const rows = Object.entries(looped.scalars).map(([role, name]): [string, Tensor] => {
      const values = scalars.map((all) => all[role as ScalarRole]);
      return [name, tensor('float32', [steps], Float32Array.from(values))];
    });
    const fetches = await session.run({
      ...firstState(looped, weights),
      ...constant(),
      [looped.inputs[0]?.name ?? '']: stacked(each((i) => numbers(10 + i, batch, 3, 6, 6))),
      [target('labels')]: stacked(each(labelsAt)),
      [target('teacher')]: stacked(each((i) => numbers(20 + i, batch, 4))),
      [target('class-weights')]: stacked(each(() => ones(4))),
      ...Object.fromEntries(rows),
    });
    await session.dispose();
    const { state, losses } = await stepped();
    expect(Array.from(fetches[looped.loss]?.data ?? [], Number)).toEqual(losses);
    const after = nextState(looped, fetches);
    for (const [name, slot] of step.weightSlots) {
      const input = looped.weightSlots.get(name)?.input ?? '';
      expect({ name, same: same(after[input], state[slot.input]) }).toEqual({ name, same: true });
    }
  });
});
