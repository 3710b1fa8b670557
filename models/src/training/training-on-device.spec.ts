/** A whole training on tfjs, whose weights stay on its device, against ONNX Runtime's buffers. */
import { random } from '@graft/core/random';
import { tensor, type Tensor } from '@graft/core/tensor';

import { multiLayerPerceptron } from '../architectures/multi-layer-perceptron.js';
import { onnxRuntime } from '../runtime/onnxruntime.adapter.js';
import { openTfjs, type TfjsRuntime } from '../runtime/tfjs/tfjs.adapter.js';
import { decodeCheckpoint, encodeCheckpoint } from './training-checkpoint.js';
import { train, TrainingDiverged, type TrainingJob } from './training-session.js';

const [count, inputs, classes] = [37, 5, 3];
const stream = random(2);

const job: TrainingJob = {
  model: multiLayerPerceptron({ inputs, hidden: [7], classes }, 1),
  step: {
    trainable: 'all',
    loss: 'softmax-cross-entropy',
    optimizer: { kind: 'adam' },
    metrics: [{ kind: 'accuracy' }],
  },
  examples: {
    inputs: { input: tensor('float32', [count, inputs], Float32Array.from({ length: count * inputs }, stream.normal)) },
    targets: {
      labels: tensor(
        'int32',
        [count],
        Int32Array.from({ length: count }, () => stream.below(classes)),
      ),
    },
  },
  epochs: 4,
  batchSize: 8,
  learningRate: 0.02,
  seed: 5,
};

let tfjs: TfjsRuntime;
beforeAll(async () => {
  tfjs = await openTfjs({ backends: ['cpu'] });
});

function difference(a: ReadonlyMap<string, Tensor<'float32'>>, b: ReadonlyMap<string, Tensor<'float32'>>): number {
  expect([...a.keys()]).toEqual([...b.keys()]);
  return Math.max(
    ...[...a].flatMap(([name, { data }]) =>
      [...data].map((value, i) => Math.abs(value - (b.get(name)?.data[i] ?? NaN))),
    ),
  );
}

describe('a training whose weights stay on the device', () => {
  it('comes to the weights, losses and counts that it comes to in memory', async () => {
    const [device, memory] = [await train(job, tfjs), await train(job, onnxRuntime)];
    expect(difference(device.weights, memory.weights)).toBeLessThan(1e-5);
    expect(device.loss).toBeCloseTo(memory.loss, 5);
    expect(device.metrics).toEqual(memory.metrics);
  });

  it('leaves nothing there, however it ends', async () => {
    await train(job, tfjs);
    const before = tfjs.tf.memory().numTensors;
    await train(job, tfjs);
    const stopped = train(job, tfjs, {
      betweenRuns: ({ step }) => {
        if (step === 3) throw new Error('stopped');
      },
    });
    await expect(stopped).rejects.toThrow('stopped');
    expect(tfjs.tf.memory().numTensors).toBe(before);
  });

  it('goes on from a checkpoint to the same bits', async () => {
    const whole = await train(job, tfjs);
    let file: Uint8Array = new Uint8Array();
    await train(job, tfjs, {
      betweenRuns: async ({ step }, checkpoint) => {
        if (step === 7) file = encodeCheckpoint('job', await checkpoint());
      },
    });
    const resume = decodeCheckpoint('job', file);
    const resumed = await train(job, tfjs, resume === undefined ? {} : { resume });
    expect(resumed.weights).toEqual(whole.weights);
    expect({ ...resumed, weights: 0 }).toEqual({ ...whole, weights: 0 });
  });

  it('has the last good weights when it diverges', async () => {
    const steep: TrainingJob = { ...job, step: { ...job.step, optimizer: { kind: 'sgd' } }, learningRate: 1e30 };
    const error: unknown = await train(steep, tfjs).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(TrainingDiverged);
    if (!(error instanceof TrainingDiverged)) return;
    expect([...error.lastGood.values()].every(({ data }) => data.every(Number.isFinite))).toBe(true);
  });
});
