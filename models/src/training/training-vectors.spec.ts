/** Training against PyTorch: test/vectors/make_training_vectors.py wrote the numbers, in float64. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { tensor, type Tensor } from '@graft/core/tensor';

import type { Model } from '../graph/graph.js';
import type { GraphBuilder } from '../operators/graph-builder.js';
import { onnxRuntime } from '../runtime/onnxruntime.adapter.js';
import { buildTrainingStep } from './build-training-step.js';
import { gradientsOf, modelOf, relativeError } from './gradient-graph.contract.js';
import type { OptimizerSpec } from './optimizers/optimizer-spec.js';
import { stepScalars } from './optimizers/step-scalars.js';
import { scalarFeeds, targetOf } from './step-feeds.js';
import { firstState, nextState, weightsIn } from './step-state.contract.js';

interface Numbers {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

interface Vectors {
  readonly features: Numbers;
  readonly labels: readonly number[];
  readonly weights: Readonly<Record<string, Numbers>>;
  readonly frozen?: Readonly<Record<string, Numbers>>;
  readonly loss: number;
  readonly gradients: Readonly<Record<string, Numbers>>;
}

interface HeadVectors extends Vectors {
  readonly batch: number;
  readonly runs: Readonly<
    Record<
      'sgd' | 'adam',
      { optimizer: OptimizerSpec; learningRate: number; losses: readonly number[]; weights: Record<string, Numbers> }
    >
  >;
}

const folder = join(import.meta.dirname, '../../../test/vectors');
const read = (name: string): Vectors =>
  JSON.parse(readFileSync(join(folder, `training-${name}.json`), 'utf8')) as Vectors;
const float = ({ shape, data }: Numbers): Tensor<'float32'> => tensor('float32', shape, Float32Array.from(data));

type Write = (build: GraphBuilder) => string;

function netOf({ features, weights, frozen = {} }: Vectors, nodes: Write): Model {
  const all = new Map(Object.entries({ ...frozen, ...weights }).map(([name, value]) => [name, float(value)]));
  return modelOf(['batch', ...features.shape.slice(1)], all, { output: 'logits', nodes });
}

const head =
  (features: string): Write =>
  (build) =>
    build.add('Gemm', [features, 'head.weight', 'head.bias'], { transB: 1 });

/** x clip(x + 3, 0, 6) / 6, as exporters write it. */
function hardSwish(x: string, build: GraphBuilder): string {
  const [three, zero, six] = [3, 0, 6].map((value) => build.scalar(value, x));
  const ramp = build.add('Clip', [build.add('Add', [x, three ?? '']), zero ?? '', six ?? '']);
  return build.add('Div', [build.add('Mul', [x, ramp]), six ?? '']);
}

const silu = (x: string, build: GraphBuilder): string => build.add('Mul', [x, build.add('Sigmoid', [x])]);

const convolutions: Write = (build) => {
  let x = build.add('Conv', ['x', 'conv.w'], { strides: [2, 1], pads: [1, 1, 1, 1] });
  x = build.add('BatchNormalization', [x, 'bn.scale', 'bn.bias', 'bn.mean', 'bn.var'], { epsilon: { float: 1e-5 } });
  x = hardSwish(x, build);
  x = build.add('Conv', [x, 'depthwise.w', 'depthwise.b'], { pads: [2, 2, 2, 2], group: 6 });
  const squeezed = build.add('Relu', [
    build.add('Conv', [build.add('GlobalAveragePool', [x]), 'squeeze.w', 'squeeze.b']),
  ]);
  const excited = build.add('HardSigmoid', [build.add('Conv', [squeezed, 'excite.w', 'excite.b'])], {
    alpha: { float: 1 / 6 },
    beta: { float: 0.5 },
  });
  x = build.add('Conv', [build.add('Mul', [x, excited]), 'pointwise.w', 'pointwise.b']);
  x = build.add('HardSwish', [build.add('Add', [build.add('Mul', [x, 'scale']), 'shift'])]);
  x = build.add('Conv', [x, 'down.w'], { strides: [2, 1], pads: [2, 2, 2, 2], group: 6 });
  x = build.add('Conv', [x, 'grouped.w'], { pads: [1, 1, 1, 1], group: 2 });
  x = build.add('AveragePool', [x], { kernel_shape: [2, 2], strides: [2, 2] });
  x = silu(build.add('Conv', [x, 'row.w'], { pads: [0, 1, 0, 1] }), build);
  return head(build.add('Flatten', [x], { axis: 1 }))(build);
};

const attention: Write = (build) => {
  const qkv = build.add('Add', [build.add('MatMul', ['x', 'qkv.w']), 'qkv.b']);
  const heads = build.add('Transpose', [build.add('Reshape', [qkv, build.ints([0, 5, 3, 2, 4])])], {
    perm: [2, 0, 3, 1, 4],
  });
  const [query = '', key = '', value = ''] = [0, 1, 2].map((i) => {
    const part = build.add('Slice', [heads, build.ints([i]), build.ints([i + 1]), build.ints([0])]);
    return build.add('Squeeze', [part, build.ints([0])]);
  });
  const scaled = build.add('Mul', [query, build.scalar(0.5, 'x')]);
  const scores = build.add('MatMul', [scaled, build.add('Transpose', [key], { perm: [0, 1, 3, 2] })]);
  const mixed = build.add('MatMul', [build.add('Softmax', [scores], { axis: -1 }), value]);
  const joined = build.add('Reshape', [build.add('Transpose', [mixed], { perm: [0, 2, 1, 3] }), build.ints([0, 5, 8])]);
  const out = build.add('Add', [build.add('MatMul', [joined, 'out.w']), 'out.b']);
  const sum = build.add('Add', ['x', out]);
  return head(build.add('ReduceMean', [sum, build.ints([1])], { keepdims: 0 }))(build);
};

const layerNorm: Write = (build) => {
  const mean = (x: string): string => build.add('ReduceMean', [x, build.ints([-1])]);
  const centered = build.add('Sub', ['x', mean('x')]);
  const variance = mean(build.add('Pow', [centered, build.scalar(2, 'x')]));
  const deviation = build.add('Sqrt', [build.add('Add', [variance, build.scalar(1e-5, 'x')])]);
  const first = build.add('Add', [
    build.add('Mul', [build.add('Div', [centered, deviation]), 'ln1.scale']),
    'ln1.bias',
  ]);
  const wide = silu(build.add('Add', [build.add('MatMul', [first, 'up.w']), 'up.b']), build);
  const sum = build.add('Add', [first, build.add('MatMul', [wide, 'down.w'])]);
  const second = build.add('LayerNormalization', [sum, 'ln2.scale', 'ln2.bias'], { epsilon: { float: 1e-5 } });
  return head(build.add('ReduceMean', [second, build.ints([1])], { keepdims: 0 }))(build);
};

describe('gradients', () => {
  it.each<[string, Write]>([
    ['head', head('x')],
    ['convolutions', convolutions],
    ['attention', attention],
    ['layer-norm', layerNorm],
  ])('of the %s net agree with PyTorch to 1e-5', async (name, write) => {
    const vectors = read(name);
    const objective = { kind: 'cross-entropy', labels: Int32Array.from(vectors.labels) } as const;
    const wanted = Object.keys(vectors.weights);
    const { loss, gradients } = await gradientsOf(netOf(vectors, write), float(vectors.features), {
      wanted,
      objective,
    });
    expect(Math.abs(loss - vectors.loss)).toBeLessThanOrEqual(1e-5 * vectors.loss);
    const wrong = Object.entries(vectors.gradients).filter(([key, { shape, data }]) => {
      const gradient = gradients.get(key);
      return (
        gradient?.dtype !== 'float32' ||
        gradient.shape.join() !== shape.join() ||
        !(relativeError(gradient.data, data) <= 1e-5)
      );
    });
    expect(wrong.map(([key]) => key)).toEqual([]);
  });
});

describe('twenty steps', () => {
  it.each(['sgd', 'adam'] as const)('of %s agree with PyTorch to 1e-4, smaller last batches included', async (kind) => {
    const vectors = read('head') as HeadVectors;
    const { optimizer, learningRate, losses, weights } = vectors.runs[kind];
    const step = buildTrainingStep(netOf(vectors, head('x')), {
      trainable: Object.keys(vectors.weights),
      loss: 'softmax-cross-entropy',
      optimizer,
    });
    const session = await onnxRuntime.load(step, { threads: 1, purpose: 'training' });
    const initial = new Map(Object.entries(vectors.weights).map(([name, value]) => [name, float(value)]));
    let state = firstState(step, initial);
    const [count = 0, length = 0] = vectors.features.shape;
    const seen: number[] = [];
    for (let i = 0, begin = 0; i < losses.length; i++) {
      const end = Math.min(begin + vectors.batch, count);
      const fetches = await session.run({
        ...state,
        x: tensor(
          'float32',
          [end - begin, length],
          Float32Array.from(vectors.features.data.slice(begin * length, end * length)),
        ),
        [targetOf(step, 'labels').name]: tensor(
          'int32',
          [end - begin],
          Int32Array.from(vectors.labels.slice(begin, end)),
        ),
        ...scalarFeeds(step, { ...stepScalars(step.optimizer, learningRate, i + 1) }),
      });
      seen.push(Number(fetches[step.loss]?.data[0]));
      state = nextState(step, fetches);
      begin = end === count ? 0 : end;
    }
    await session.dispose();
    expect(relativeError(seen, losses)).toBeLessThanOrEqual(1e-4);
    for (const [name, { data }] of Object.entries(weights)) {
      const value = weightsIn(step, state).get(name);
      expect(value === undefined ? NaN : relativeError(value.data, data)).toBeLessThanOrEqual(1e-4);
    }
  });
});
