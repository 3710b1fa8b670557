/** A training step in the forms of this process's runtime gives the weights that the standard operators give. */
import { random } from '@graft/core/random';
import { elementCount, tensor, type Tensor } from '@graft/core/tensor';

import { mobileNetV2 } from '../architectures/mobilenet-v2.js';
import { smallCnn } from '../architectures/small-cnn.js';
import type { Model } from '../graph/graph.js';
import { exportOnnx } from '../formats/onnx/export-onnx.js';
import { standardLowering, type Lowering } from '../operators/lowering.js';
import { sessionLowering } from '../runtime/blocked-convolution.adapter.js';
import { onnxRuntime } from '../runtime/onnxruntime.adapter.js';
import { buildTrainingStep } from './build-training-step.js';
import { StateBuffers } from './state-buffers.js';
import type { BatchNormMode } from './training-step.js';

const rate = 0.05;
const rows = 4;

const images = (shape: readonly number[]): Tensor => {
  const stream = random(5);
  return tensor(
    'float32',
    shape,
    Float32Array.from({ length: elementCount(shape) }, () => stream.next() * 2 - 1),
  );
};

const trainableOf = ({ graph }: Model): string[] =>
  graph.weights.filter(({ name }) => !/running_|\//.test(name)).map(({ name }) => name);

/** The step, its loss, and what gradient descent takes from each weight. */
async function stepUnder(model: Model, lowering: Lowering, batchNorm: BatchNormMode) {
  const [input] = model.graph.inputs;
  if (input?.shape === undefined) throw new Error('the model has one input');
  const shape = [rows, ...input.shape.slice(1).map(Number)];
  const trainable = trainableOf(model);
  const step = buildTrainingStep(model, {
    trainable,
    loss: 'softmax-cross-entropy',
    optimizer: { kind: 'sgd' },
    inputShapes: { [input.name]: shape },
    batchNorm,
    lowering,
  });
  const session = await onnxRuntime.load(step, { threads: 1, purpose: 'training' });
  const state = new StateBuffers(step, model.weights);
  const [labels] = step.targets;
  const fetches = await session.run(
    {
      ...state.feeds(),
      [input.name]: images(shape),
      [labels?.name ?? '']: tensor('int32', [rows], Int32Array.from([0, 1, 2, 1])),
      [step.scalars.rate ?? '']: tensor('float32', [], Float32Array.of(rate)),
    },
    state.into(),
  );
  await session.dispose();
  state.advance();
  const after = state.values();
  const moved = trainable.map((name) => {
    const before = model.weights.get(name)?.data;
    return Float32Array.from(
      after.get(name)?.data as Float32Array,
      (value, i) => (Number(before?.[i] ?? NaN) - value) / rate,
    );
  });
  return {
    step,
    loss: Number(fetches[step.loss]?.data[0]),
    moved: new Map(trainable.map((name, i) => [name, moved[i]])),
  };
}

/** The largest difference over the largest gradient of the tensor. */
function difference(a: Float32Array = new Float32Array(0), b: Float32Array = new Float32Array(0)): number {
  const largest = a.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6);
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] ?? NaN))), 0) / largest;
}

const mobileNet = mobileNetV2(
  {
    size: 48,
    width: 0.35,
    classes: 3,
    stages: [
      [1, 16, 1, 1],
      [6, 24, 2, 2],
    ],
    lastChannels: 64,
  },
  3,
);
const cnn = smallCnn({ channels: 3, size: 16, widths: [16, 32], hidden: 32, classes: 3 }, 3);

describe('a training step for this process', () => {
  // Statistics of a batch make gradients of single weights the small rest of large sums: see the vectors of PyTorch.
  it.each<[string, Model, BatchNormMode, number]>([
    ['a small convolutional network', cnn, 'frozen', 1e-4],
    ['the first blocks of MobileNetV2', mobileNet, 'frozen', 1e-3],
    ['the first blocks of MobileNetV2 by statistics of the batch', mobileNet, 'local', 2e-2],
  ])(
    'takes the step of the standard operators for %s',
    async (_, model, batchNorm, tolerance) => {
      const expected = await stepUnder(model, standardLowering, batchNorm);
      const found = await stepUnder(model, await sessionLowering(), batchNorm);
      expect(Math.abs(found.loss - expected.loss)).toBeLessThan(1e-5);
      const errors = [...expected.moved].map(
        ([name, value]) => [name, difference(value, found.moved.get(name))] as const,
      );
      expect(errors.filter(([, error]) => !(error <= tolerance))).toEqual([]);
    },
    60_000,
  );

  it('is never written to a file', async () => {
    const { step } = await stepUnder(mobileNet, await sessionLowering(), 'local');
    const own = step.graph.nodes.filter(({ domain }) => domain === 'com.microsoft.nchwc');
    if (own.length > 0) expect(() => exportOnnx(step)).toThrow(/never written to files/);
    else expect(exportOnnx(step).length).toBeGreaterThan(0);
  });
});
