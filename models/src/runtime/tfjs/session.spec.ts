/** Whole trainings on tfjs: the loop over epochs is the same, and so is what it learns. */
import { tensor, type Tensor } from '@graft/core/tensor';

import { modelOf, relativeError } from '../../training/gradient-graph.contract.js';
import { train, type TrainingJob } from '../../training/training-session.js';
import { onnxRuntime } from '../onnxruntime.adapter.js';
import { openTfjs } from './tfjs.adapter.js';

const float = (shape: readonly number[], ...data: number[]): Tensor<'float32'> =>
  tensor('float32', shape, Float32Array.from(data));

const weights = new Map([['w', float([2, 3], 0.1, -0.2, 0.3, 0.2, 0.1, -0.1)]]);

const job: TrainingJob = {
  model: modelOf(['batch', 2], weights, { output: 'logits', nodes: (build) => build.add('MatMul', ['x', 'w']) }),
  step: { trainable: ['w'], loss: 'softmax-cross-entropy', optimizer: { kind: 'adam' } },
  examples: {
    inputs: { x: float([5, 2], 1, 0, 0, 1, -1, -1, 1, 0.1, 0.1, 1) },
    targets: { labels: tensor('int32', [5], Int32Array.of(0, 1, 2, 0, 1)) },
  },
  epochs: 4,
  batchSize: 2,
  learningRate: 0.1,
  seed: 1,
};

describe('training on tfjs', () => {
  it.each([
    ['step by step', {}],
    ['several steps a run', { stepsPerRun: 2 }],
  ])('learns what training on ONNX Runtime learns, %s', async (_, how) => {
    const runtime = await openTfjs({ backends: ['wasm'] });
    const [expected, got] = [await train({ ...job, ...how }, onnxRuntime), await train({ ...job, ...how }, runtime)];
    expect(got.steps).toBe(12);
    expect(got.loss).toBeLessThan(got.initialLoss);
    expect(relativeError(got.weights.get('w')?.data ?? [], expected.weights.get('w')?.data ?? [])).toBeLessThan(1e-5);
    expect(runtime.tf.memory().numTensors).toBe(0);
  });

  it('comes to the same bits with the same seed', async () => {
    const runtime = await openTfjs({ backends: ['wasm'] });
    const [first, again] = [await train(job, runtime), await train(job, runtime)];
    expect(again.weights.get('w')?.data).toEqual(first.weights.get('w')?.data);
  });
});
