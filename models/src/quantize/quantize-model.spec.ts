/** Quantized models on ONNX Runtime: close to the float32 ones, and the same whether 8-bit kernels or float32 operators run them. */
import * as fc from 'fast-check';

import { tensor, type Tensor } from '@graft/core/tensor';

import type { Model } from '../graph/graph.js';
import { onnxRuntime } from '../runtime/onnxruntime.adapter.js';
import { collectRanges } from './collect-ranges.js';
import { calibrationOutputs } from './plan.js';
import { quantizeModel } from './quantize-model.js';
import type { Range } from './ranges.js';
import { answer, network, noise, operatorsOf, relativeError, scalar, type Layer } from './small-network.contract.js';
import { withRanges } from './with-ranges.js';

async function calibrate(model: Model, x: Tensor<'float32'>): Promise<Map<string, Range>> {
  const names = calibrationOutputs(model);
  const session = await onnxRuntime.load(withRanges(model, names), { threads: 1, purpose: 'inference' });
  const ranges = await collectRanges(session, names, [{ x }]);
  await session.dispose();
  return ranges;
}

/** Quantizes and compares: with float32, and 8-bit kernels with the same graph unfused. */
async function quantized(model: Model, x: Tensor<'float32'>): Promise<{ int8: Model; error: number }> {
  const int8 = quantizeModel(model, await calibrate(model, x));
  const [exact, fused, unfused] = [await answer(model, x), await answer(int8, x), await answer(int8, x, 'training')];
  expect(relativeError(unfused, fused)).toBeLessThan(0.02);
  return { int8, error: relativeError(exact, fused) };
}

const swish = (from: string, to: string): Layer[] => [
  ['Add', `${from} three`, `${to}.a`],
  ['Clip', `${to}.a zero six`, `${to}.k`],
  ['Mul', `${from} ${to}.k`, `${to}.m`],
  ['Div', `${to}.m six`, to],
];
const constants = { three: scalar(3), zero: { ...scalar(0), shape: [] }, six: { ...scalar(6), shape: [] } };

/** In small: what the demo's base model is made of. */
const mobile = network({
  input: ['n', 3, 12, 12],
  layers: [
    ['Conv', 'x w1 b1', 'c1', { pads: [1, 1, 1, 1], strides: [2, 2] }],
    ['Mul', 'c1 s1', 'c2'],
    ...swish('c2', 'h1'),
    ['Mul', 'h1 s2', 'a1'],
    ['Add', 'a1 t2', 'a2'],
    ['Conv', 'a2 w2', 'c3', { pads: [1, 1, 1, 1], group: 8 }],
    ['Relu', 'c3', 'r1'],
    ['GlobalAveragePool', 'r1', 'g1'],
    ['Conv', 'g1 w3 b3', 'g2'],
    ['HardSigmoid', 'g2', 'g3'],
    ['Mul', 'r1 g3', 'e1'],
    ['Conv', 'e1 w4', 'c4'],
    ...swish('c4', 'h2'),
    ['AveragePool', 'h2', 'p1', { kernel_shape: [2, 2], strides: [2, 2] }],
    ['Flatten', 'p1', 'f1'],
    ['Gemm', 'f1 w5 b5', 'logits', { transB: 1 }],
  ],
  weights: {
    ...constants,
    w1: noise(1, [8, 3, 3, 3], 0.4),
    b1: noise(2, [8]),
    s1: scalar(0.8),
    s2: scalar(0.6),
    t2: scalar(0.15),
    w2: noise(3, [8, 1, 3, 3], 0.4),
    w3: noise(4, [8, 8, 1, 1], 0.4),
    b3: noise(5, [8]),
    w4: noise(6, [16, 8, 1, 1], 0.4),
    w5: noise(7, [5, 144], 0.1),
    b5: noise(8, [5]),
  },
});

describe('a quantized model', () => {
  it('agrees with the float32 model and keeps its inputs and outputs', async () => {
    const { int8, error } = await quantized(mobile, noise(9, [16, 3, 12, 12]));
    expect(error).toBeLessThan(0.05);
    expect(int8.graph.inputs).toEqual(mobile.graph.inputs);
    expect(int8.graph.outputs).toEqual(mobile.graph.outputs);
  });

  it('has no Relu, Clip or hard-swish left, stores its weights in 8 bits, and uses the default domain only', async () => {
    const { int8 } = await quantized(mobile, noise(9, [4, 3, 12, 12]));
    const { Relu, Clip, HardSigmoid, Div } = operatorsOf(int8);
    // One HardSigmoid and its gate became an addition that saturates, like those of hard-swish.
    expect([Relu, Clip, HardSigmoid, Div]).toEqual([undefined, undefined, undefined, undefined]);
    expect(int8.graph.nodes.every(({ domain }) => domain === '')).toBe(true);
    const floats = [...int8.weights.values()].filter(({ dtype }) => dtype === 'float32');
    expect(Math.max(...floats.map(({ data }) => data.length))).toBeLessThanOrEqual(16);
    const large = [...int8.weights.values()].filter(({ data }) => data.length > 16);
    expect(new Set(large.map(({ dtype }) => dtype))).toEqual(new Set(['int8']));
  });

  it('does not overflow where all activations and weights are as large as can be', async () => {
    for (const inputs of [2, 5, 64]) {
      const w = tensor('float32', [8, inputs, 1, 1], new Float32Array(8 * inputs).fill(1));
      const model = network({ input: ['n', inputs, 4, 4], layers: [['Conv', 'x w', 'y']], weights: { w } });
      const x = tensor('float32', [1, inputs, 4, 4], new Float32Array(inputs * 16).fill(1));
      const { error } = await quantized(model, x);
      expect(error).toBeLessThan(0.01);
    }
  });

  it('multiplies matrices, with and without a bias', async () => {
    const weights = { w: noise(1, [32, 24], 0.2), v: noise(2, [24, 10], 0.2), c: noise(3, [10]) };
    const layers: Layer[] = [
      ['MatMul', 'x w', 'a'],
      ['Relu', 'a', 'r'],
      ['Gemm', 'r v c', 'y'],
    ];
    const { int8, error } = await quantized(network({ input: ['n', 32], layers, weights }), noise(4, [20, 32]));
    // Of 20 examples two have values beyond the range, which saturate.
    expect(error).toBeLessThan(0.1);
    expect(operatorsOf(int8)['Relu']).toBeUndefined();
  });

  it('adds residuals and joins channels in 8 bits', async () => {
    const weights = { w: noise(1, [6, 6, 1, 1], 0.4), v: noise(2, [6, 6, 3, 3], 0.2), u: noise(3, [4, 12, 1, 1], 0.3) };
    const layers: Layer[] = [
      ['Conv', 'x w', 'a'],
      ['Conv', 'a v', 'b', { pads: [1, 1, 1, 1] }],
      ['Add', 'a b', 'd'],
      ['Concat', 'd a', 'e', { axis: 1 }],
      ['MaxPool', 'e', 'm', { kernel_shape: [2, 2] }],
      ['Conv', 'm u', 'y'],
    ];
    const { int8, error } = await quantized(
      network({ input: ['n', 6, 6, 6], layers, weights }),
      noise(4, [8, 6, 6, 6]),
    );
    expect(error).toBeLessThan(0.05);
    expect(operatorsOf(int8)['QuantizeLinear']).toBe(7);
  });

  it('follows a factor and an offset at the border of a padded convolution', async () => {
    const weights = { w: noise(1, [8, 3, 1, 1]), v: noise(2, [8, 1, 3, 3], 0.3), s: scalar(0.7), t: scalar(-1.234) };
    const layers: Layer[] = [
      ['Conv', 'x w', 'a'],
      ['Relu', 'a', 'r'],
      ['Mul', 'r s', 'b'],
      ['Add', 't b', 'd'],
      ['Conv', 'd v', 'y', { pads: [1, 1, 1, 1], group: 8 }],
    ];
    const { int8, error } = await quantized(
      network({ input: ['n', 3, 5, 5], layers, weights }),
      noise(4, [8, 3, 5, 5]),
    );
    expect(error).toBeLessThan(0.02);
    // The 8-bit form of r serves for d as well.
    expect(operatorsOf(int8)).toMatchObject({ Conv: 2, QuantizeLinear: 3 });
    expect([operatorsOf(int8)['Mul'], operatorsOf(int8)['Add']]).toEqual([undefined, undefined]);
  });

  it('rounds an offset that would stretch the range, and a negative factor', async () => {
    for (const [s, t] of [
      [1, 900],
      [-2, 0.5],
    ]) {
      const weights = {
        w: noise(1, [8, 3, 1, 1]),
        v: noise(2, [8, 1, 3, 3], 0.3),
        s: scalar(s ?? 0),
        t: scalar(t ?? 0),
      };
      const layers: Layer[] = [
        ['Conv', 'x w', 'a'],
        ['Relu', 'a', 'r'],
        ['Mul', 'r s', 'b'],
        ['Add', 't b', 'd'],
        ['Conv', 'd v', 'y', { pads: [1, 1, 1, 1], group: 8 }],
      ];
      const { int8, error } = await quantized(
        network({ input: ['n', 3, 5, 5], layers, weights }),
        noise(4, [8, 3, 5, 5]),
      );
      expect(error).toBeLessThan(0.03);
      expect(operatorsOf(int8)['Add']).toBe(1);
    }
  });

  it('keeps in float32 what 8 bits would not serve', async () => {
    const layers: Layer[] = [
      ['Exp', 'x', 'a'],
      ['Mul', 'a a', 'y'],
    ];
    const model = network({ input: ['n', 4], layers, weights: {} });
    expect(calibrationOutputs(model)).toEqual([]);
    expect(quantizeModel(model, new Map())).toEqual(model);
    const softmax = network({
      input: ['n', 4],
      layers: [
        ['MatMul', 'x w', 'a'],
        ['Softmax', 'a', 'y'],
      ],
      weights: { w: noise(1, [4, 4]) },
    });
    const { int8 } = await quantized(softmax, noise(2, [3, 4]));
    expect(operatorsOf(int8)).toEqual({ QuantizeLinear: 1, DequantizeLinear: 2, MatMul: 1, Softmax: 1 });
  });

  it('is not quantized a second time', async () => {
    const { int8 } = await quantized(mobile, noise(9, [4, 3, 12, 12]));
    expect(calibrationOutputs(int8)).toEqual([]);
    expect(operatorsOf(quantizeModel(int8, new Map()))).toEqual(operatorsOf(int8));
  });

  it('asks for the same ranges whatever the trained weights are', () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const trained = new Map(
          [...mobile.weights].map(([name, value]) => [name, /^[wbst]\d/.test(name) ? noise(seed, value.shape) : value]),
        );
        expect(calibrationOutputs({ ...mobile, weights: trained })).toEqual(calibrationOutputs(mobile));
      }),
      { numRuns: 10 },
    );
  });

  it('is deterministic and leaves the model as it was', async () => {
    const ranges = await calibrate(mobile, noise(9, [4, 3, 12, 12]));
    const before = structuredClone(mobile);
    expect(quantizeModel(mobile, ranges)).toEqual(quantizeModel(mobile, new Map([...ranges].reverse())));
    expect(mobile).toEqual(before);
  });

  it('refuses ranges that are missing, hostile or of another model', async () => {
    const ranges = await calibrate(mobile, noise(9, [4, 3, 12, 12]));
    const [name = ''] = ranges.keys();
    const refused = expect.objectContaining({ code: 'RANGES_INVALID' });
    expect(() => quantizeModel(mobile, new Map([...ranges].slice(1)))).toThrow(refused);
    expect(() => quantizeModel(mobile, new Map([...ranges, ['other', { min: 0, max: 1 }]]))).toThrow(refused);
    expect(() => quantizeModel(mobile, new Map([...ranges, [name, { min: NaN, max: 1 }]]))).toThrow(refused);
    expect(() => quantizeModel(mobile, new Map([...ranges, [name, { min: 1, max: 0 }]]))).toThrow(refused);
  });

  it('survives ranges of any finite size', async () => {
    const names = calibrationOutputs(mobile);
    for (const range of [
      { min: 0, max: 0 },
      { min: -3e38, max: 3e38 },
      { min: 1e-40, max: 1e-39 },
      { min: 5, max: 6 },
    ]) {
      const int8 = quantizeModel(mobile, new Map(names.map((name) => [name, range])));
      const values = await answer(int8, noise(1, [2, 3, 12, 12]));
      expect(values.every((value) => !Number.isNaN(value))).toBe(true);
    }
  });

  it('refuses weights that are not finite', async () => {
    const ranges = await calibrate(mobile, noise(9, [4, 3, 12, 12]));
    const broken = { ...mobile, weights: new Map([...mobile.weights, ['w4', noise(1, [16, 8, 1, 1], NaN)]]) };
    expect(() => quantizeModel(broken, ranges)).toThrow(expect.objectContaining({ code: 'MODEL_UNSUPPORTED' }));
  });
});
