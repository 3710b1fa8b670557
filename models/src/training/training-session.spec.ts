import { tensor, type Tensor } from '@graft/core/tensor';

import type { GraphBuilder } from '../operators/graph-builder.js';
import { onnxRuntime } from '../runtime/onnxruntime.adapter.js';
import { buildTrainingStep } from './build-training-step.js';
import { modelOf } from './gradient-graph.contract.js';
import { predictLogits } from './predict-logits.js';
import { train, type TrainingJob } from './training-session.js';

const float = (shape: readonly number[], ...data: number[]): Tensor<'float32'> =>
  tensor('float32', shape, Float32Array.from(data));

const weights = new Map([
  ['w', float([2, 3], 0.1, -0.2, 0.3, 0.2, 0.1, -0.1)],
  ['mean', float([2], 0, 0)],
  ['variance', float([2], 1, 1)],
  ['unused', float([1], 1)],
]);

function linear(change: (x: string, build: GraphBuilder) => string = (x) => x) {
  return modelOf(['batch', 2], weights, {
    output: 'logits',
    nodes: (build) => build.add('MatMul', [change('x', build), 'w']),
  });
}

const job: TrainingJob = {
  model: linear(),
  trainable: ['w'],
  features: float([5, 2], 1, 0, 0, 1, -1, -1, 1, 0.1, 0.1, 1),
  labels: Int32Array.of(0, 1, 2, 0, 1),
  options: { epochs: 40, batchSize: 2, optimizer: 'adam', learningRate: 0.1 },
  seed: 1,
};

const step = (model: TrainingJob['model'], trainable: readonly string[]) => () =>
  buildTrainingStep(model, { trainable, loss: 'softmax-cross-entropy', optimizer: { kind: 'sgd' } });

describe('training', () => {
  it('learns, tells each step, and takes a smaller last batch', async () => {
    const seen: number[] = [];
    const result = await train(job, onnxRuntime, ({ step: number }) => seen.push(number));
    expect(result.steps).toBe(40 * 3);
    expect(seen).toEqual(Array.from({ length: 120 }, (_, i) => i + 1));
    expect(result.loss).toBeLessThan(result.initialLoss / 4);
  });

  it.each<[string, Partial<TrainingJob>, string, RegExp]>([
    ['no example', { features: float([0, 2]), labels: new Int32Array(0) }, 'DATA_EMPTY', /no example/],
    [
      'fewer rows than labels',
      { features: float([1, 2], 1, 1) },
      'DATA_UNSUITABLE',
      /1 rows of features have 5 labels/,
    ],
    ['a label of no class', { labels: Int32Array.of(0, 1, 3, 0, 1) }, 'DATA_UNSUITABLE', /label 3 is none of the 3/],
    [
      'a feature that is no number',
      { features: float([5, 2], ...Array<number>(10).fill(NaN)) },
      'TRAINING_DIVERGED',
      /loss is NaN at step 1/,
    ],
  ])('refuses %s', async (_, change, code, message) => {
    await expect(train({ ...job, ...change }, onnxRuntime)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  it('gives logits of any number of rows in batches', async () => {
    const session = await onnxRuntime.load(job.model, { threads: 1, purpose: 'inference' });
    const [whole, parts] = [5, 2].map((batchSize) =>
      predictLogits(session, { input: 'x' }, { features: job.features, batchSize }),
    );
    expect((await parts)?.shape).toEqual([5, 3]);
    expect((await parts)?.data).toEqual((await whole)?.data);
    await session.dispose();
  });
});

describe('a training step', () => {
  it('names a weight that the model does not have, or that does not reach the logits', () => {
    expect(step(linear(), ['v'])).toThrow(expect.objectContaining({ code: 'TENSOR_UNKNOWN' }));
    expect(step(linear(), ['unused'])).toThrow(/'unused' has no influence on the logits/);
  });

  it('names the node that has no gradient', () => {
    const floored = modelOf(['batch', 2], weights, {
      output: 'logits',
      nodes: (build) => build.add('Floor', [build.add('MatMul', ['x', 'w'])]),
    });
    expect(step(floored, ['w'])).toThrow(/\(Floor\) lies on the way from the loss/);
  });

  it('does not train running statistics', () => {
    const model = linear((x, build) => build.add('BatchNormalization', [x, 'variance', 'mean', 'mean', 'variance']));
    expect(step(model, ['variance'])).toThrow(/running statistics, which are constants/);
  });

  it('names an operator that is not in the table', () => {
    const { graph } = linear();
    const strange = {
      name: 'strange',
      op: 'NoSuchOperator',
      domain: '',
      inputs: ['x'],
      outputs: ['z'],
      attributes: {},
    };
    const model = { graph: { ...graph, nodes: [strange, ...graph.nodes] }, weights };
    expect(step(model, ['w'])).toThrow(/'strange' is a NoSuchOperator, which is not in the operator table/);
  });
});
