/** LoRA: the adapted graph, its training, and the merged model. */
import { random } from '@graft/core/random';
import { elementCount, tensor, type Tensor, type Weights } from '@graft/core/tensor';

import type { Model } from '../../graph/graph.js';
import { onnxRuntime } from '../../runtime/onnxruntime.adapter.js';
import { buildTrainingStep } from '../build-training-step.js';
import { modelOf, relativeError } from '../gradient-graph.contract.js';
import { scalarFeeds, targetOf } from '../step-feeds.js';
import { firstState, nextState, weightsIn } from '../step-state.contract.js';
import type { LoraSpec } from '../training-step.js';
import { factorNames, mergeLora, withLora } from './lora.js';

function numbers(seed: number, ...shape: number[]): Tensor<'float32'> {
  const stream = random(seed);
  return tensor(
    'float32',
    shape,
    Float32Array.from({ length: elementCount(shape) }, () => stream.normal() * 0.3),
  );
}

const weights = new Map<string, Tensor>([
  ['conv', numbers(1, 6, 3, 3, 2)],
  ['conv.bias', numbers(2, 6)],
  ['wide', numbers(3, 36, 10)],
  ['rows', numbers(4, 8, 10)],
  ['rows.bias', numbers(5, 8)],
  ['columns', numbers(6, 8, 4)],
  ['grouped', numbers(7, 3, 1, 3, 3)],
]);

/** A grouped convolution, one with strides and pads, a product, and Gemm both ways, one with alpha and beta. */
const model = modelOf(['batch', 3, 6, 5], weights, {
  output: 'logits',
  nodes: (build) => {
    const grouped = build.add('Conv', ['x', 'grouped'], { group: 3, pads: [1, 1, 1, 1] });
    const planes = build.add('Conv', [grouped, 'conv', 'conv.bias'], { strides: [2, 2], pads: [1, 0, 1, 1] });
    const flat = build.add('Reshape', [build.add('Relu', [planes]), build.ints([0, -1])]);
    const wide = build.add('MatMul', [
      build.add('Slice', [flat, build.ints([0]), build.ints([36]), build.ints([1])]),
      'wide',
    ]);
    const rows = build.add('Gemm', [wide, 'rows', 'rows.bias'], {
      transB: 1,
      alpha: { float: 0.5 },
      beta: { float: 2 },
    });
    return build.add('Gemm', [build.add('Relu', [rows]), 'columns']);
  },
});

const spec: LoraSpec = { rank: 2, alpha: 3, seed: 5 };
const x = numbers(9, 4, 3, 6, 5);

async function logitsOf(of: Model): Promise<ArrayLike<number>> {
  const session = await onnxRuntime.load(of, { threads: 1, purpose: 'inference' });
  const { logits } = await session.run({ x });
  await session.dispose();
  return logits?.data as Float32Array;
}

const withWeights = ({ graph, weights: all }: Model, changed: Weights): Model => ({
  graph,
  weights: new Map([...all, ...changed]),
});

describe('LoRA', () => {
  it('changes nothing before training, and has factors for every product of one group', async () => {
    const { model: adapted, factors } = withLora(model, spec);
    expect(relativeError(await logitsOf(adapted), await logitsOf(model))).toBeLessThanOrEqual(1e-6);
    const shapes = ['conv', 'wide', 'rows', 'columns'].flatMap((name) => {
      const { a, b } = factorNames(name);
      return [a, b].map((factor) => factors.get(factor)?.shape);
    });
    expect(shapes).toEqual([
      [2, 3, 3, 2],
      [6, 2, 1, 1],
      [36, 2],
      [2, 10],
      [2, 10],
      [8, 2],
      [8, 2],
      [2, 4],
    ]);
    expect(factors.size).toBe(8);
  });

  it('merges into the weights of the same graph, with the outputs of the adapted model to 1e-5', async () => {
    const { model: adapted, factors } = withLora(model, spec);
    const trained = new Map([...factors].map(([name, { shape }], i) => [name, numbers(20 + i, ...shape)]));
    const merged = mergeLora(model, trained, spec);
    const expected = await logitsOf(withWeights(adapted, trained));
    expect(relativeError(await logitsOf(merged), expected)).toBeLessThanOrEqual(1e-5);
    expect(relativeError(expected, await logitsOf(model))).toBeGreaterThan(0.01);
    expect(merged.graph).toBe(model.graph);
    expect(merged.weights.get('grouped')).toBe(model.weights.get('grouped'));
  });

  it('trains the factors alone, and the merged model is what was trained', async () => {
    const step = buildTrainingStep(model, {
      trainable: [],
      loss: 'softmax-cross-entropy',
      optimizer: { kind: 'adam' },
      lora: spec,
    });
    expect([...step.weightSlots.keys()].every((name) => name.startsWith('lora/'))).toBe(true);
    const session = await onnxRuntime.load(step, { threads: 1, purpose: 'training' });
    let state = firstState(step, model.weights);
    const losses: number[] = [];
    for (let i = 0; i < 60; i++) {
      const fetches = await session.run({
        ...state,
        x,
        [targetOf(step, 'labels').name]: tensor('int32', [4], Int32Array.of(0, 1, 2, 3)),
        ...scalarFeeds(step, { rate: 0.01, epsilon: 1e-8 }),
      });
      losses.push(Number(fetches[step.loss]?.data[0]));
      state = nextState(step, fetches);
    }
    await session.dispose();
    expect(losses.at(-1)).toBeLessThan((losses[0] ?? NaN) / 2);
    const trained = weightsIn(step, state);
    const { model: adapted } = withLora(model, spec);
    const merged = mergeLora(model, trained, spec);
    expect(relativeError(await logitsOf(merged), await logitsOf(withWeights(adapted, trained)))).toBeLessThanOrEqual(
      1e-5,
    );
  });

  it('adapts what a pattern names, beside weights that are trained whole', () => {
    const options = { loss: 'softmax-cross-entropy', optimizer: { kind: 'sgd' } } as const;
    const lora = { ...spec, matching: ['wid*'] };
    const step = buildTrainingStep(model, { ...options, trainable: ['columns'], lora });
    expect([...step.weightSlots.keys()]).toEqual(['columns', 'lora/wide/A', 'lora/wide/B']);
  });

  it('gives the same factors for the same seed', () => {
    expect(withLora(model, spec).factors).toEqual(withLora(model, spec).factors);
    expect(withLora(model, { ...spec, seed: 6 }).factors).not.toEqual(withLora(model, spec).factors);
  });

  it.each<[string, Partial<LoraSpec>, string, RegExp]>([
    ['rank 0', { rank: 0 }, 'MODEL_UNSUPPORTED', /rank 0/],
    ['half a rank', { rank: 1.5 }, 'MODEL_UNSUPPORTED', /rank 1.5/],
    ['a pattern that fits nothing', { matching: ['nothing*'] }, 'TENSOR_UNKNOWN', /among nothing\*/],
    ['a convolution of groups by name', { matching: ['grouped'] }, 'MODEL_UNSUPPORTED', /'grouped' has no LoRA/],
  ])('refuses %s', (_, more, code, message) => {
    const expected = expect.objectContaining({ code, message: expect.stringMatching(message) as string }) as Error;
    expect(() => withLora(model, { ...spec, ...more })).toThrow(expected);
  });

  it('cannot be merged without all factors', () => {
    const { factors } = withLora(model, spec);
    factors.delete('lora/wide/B');
    expect(() => mergeLora(model, factors, spec)).toThrow(/'lora\/wide\/B' of 'wide' are needed/);
  });
});
