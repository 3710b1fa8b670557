import type { Model } from '../graph/graph.js';
import { foldConstants } from './fold.js';
import { answer, network, noise, operatorsOf, relativeError, scalar, type Layer } from './small-network.contract.js';

const input = [2, 3, 8, 8];
const conv = { w: noise(1, [4, 3, 3, 3]), b: noise(2, [4]) };
const pads = [1, 1, 1, 1];

/** Folds, and checks that the function stayed. */
async function folded(model: Model): Promise<Model> {
  const result = foldConstants(model);
  const x = noise(99, input);
  expect(relativeError(await answer(model, x), await answer(result, x))).toBeLessThan(1e-5);
  return result;
}

const hardSwish: Layer[] = [
  ['Add', 'c three', 'a'],
  ['Clip', 'a zero six', 'k'],
  ['Mul', 'c k', 'm'],
  ['Div', 'm six', 'y'],
];
const swishWeights = { three: scalar(3), zero: { ...scalar(0), shape: [] }, six: { ...scalar(6), shape: [] } };

describe('folding', () => {
  it('takes batch normalization into the convolution before it', async () => {
    const variance = noise(3, [4]);
    const weights = {
      ...conv,
      gamma: noise(4, [4]),
      beta: noise(5, [4]),
      mean: noise(6, [4]),
      variance: { ...variance, data: variance.data.map(Math.abs) },
    };
    const layers: Layer[] = [
      ['Conv', 'x w b', 'c', { pads }],
      ['BatchNormalization', 'c gamma beta mean variance', 'y', { epsilon: 1e-3 }],
    ];
    const model = await folded(network({ input, layers, weights }));
    expect(operatorsOf(model)).toEqual({ Conv: 1 });
    expect(model.graph.weights).toHaveLength(2);
  });

  it.each([
    ['Mul', 'c v'],
    ['Mul', 'v c'],
    ['Add', 'c v'],
    ['Sub', 'c v'],
    ['Sub', 'v c'],
    ['Div', 'c v'],
  ])('takes %s of %s into the convolution before it, for all channels or each', async (op, inputs) => {
    for (const v of [scalar(-1.7), noise(7, [4, 1, 1]), noise(8, [1, 4, 1, 1])]) {
      for (const first of ['x w', 'x w b']) {
        const layers: Layer[] = [
          ['Conv', first, 'c'],
          [op, inputs, 'y'],
        ];
        expect(operatorsOf(await folded(network({ input, layers, weights: { ...conv, v } })))).toEqual({ Conv: 1 });
      }
    }
  });

  it('takes chains of them, in groups too', async () => {
    const weights = { w: noise(1, [6, 1, 3, 3]), s: scalar(0.5), t: scalar(-2), u: noise(3, [6, 1, 1]) };
    const layers: Layer[] = [
      ['Conv', 'x w', 'c', { group: 3, pads }],
      ['Mul', 's c', 'd'],
      ['Add', 'd t', 'e'],
      ['Mul', 'e u', 'y'],
    ];
    expect(operatorsOf(await folded(network({ input, layers, weights })))).toEqual({ Conv: 1 });
  });

  it('leaves what is not one number a channel', async () => {
    for (const v of [noise(7, [6]), noise(8, [2, 1, 1, 1]), noise(9, [6, 6])]) {
      const layers: Layer[] = [
        ['Conv', 'x w b', 'c'],
        ['Mul', 'c v', 'y'],
      ];
      expect(operatorsOf(await folded(network({ input, layers, weights: { ...conv, v } })))).toEqual({
        Conv: 1,
        Mul: 1,
      });
    }
  });

  it('leaves a convolution whose unscaled result is needed elsewhere', async () => {
    const layers: Layer[] = [
      ['Conv', 'x w b', 'c'],
      ['Mul', 'c v', 'd'],
      ['Add', 'c d', 'y'],
    ];
    const model = network({ input, layers, weights: { ...conv, v: scalar(2) } });
    expect(operatorsOf(await folded(model))).toEqual({ Conv: 1, Mul: 1, Add: 1 });
    const output = network({
      input,
      layers: layers.slice(0, 2),
      weights: { ...conv, v: scalar(2) },
      outputs: ['d', 'c'],
    });
    expect(operatorsOf(await folded(output))).toEqual({ Conv: 1, Mul: 1 });
  });

  it('leaves a division by zero to the runtime', () => {
    const layers: Layer[] = [
      ['Conv', 'x w b', 'c'],
      ['Div', 'c v', 'y'],
    ];
    expect(operatorsOf(foldConstants(network({ input, layers, weights: { ...conv, v: scalar(0) } })))).toEqual({
      Conv: 1,
      Div: 1,
    });
  });

  it('takes one factor and offset into the convolutions after it that pad nothing', async () => {
    const weights = {
      s: scalar(-3),
      t: scalar(0.7),
      w: noise(1, [4, 3, 1, 1]),
      v: noise(2, [4, 3, 1, 1]),
      b: noise(3, [4]),
    };
    const layers: Layer[] = [
      ['Mul', 'x s', 'a'],
      ['Add', 't a', 'd'],
      ['Conv', 'd w b', 'e'],
      ['Conv', 'd v', 'f'],
      ['Add', 'e f', 'y'],
    ];
    expect(operatorsOf(await folded(network({ input, layers, weights })))).toEqual({ Conv: 2, Add: 1 });
  });

  it('takes a factor but no offset into a convolution that pads, since what it pads is zero after the offset', async () => {
    const weights = { s: scalar(-3), t: scalar(0.7), ...conv };
    const scaled: Layer[] = [
      ['Mul', 'x s', 'a'],
      ['Conv', 'a w b', 'y', { pads }],
    ];
    expect(operatorsOf(await folded(network({ input, layers: scaled, weights })))).toEqual({ Conv: 1 });
    const shifted: Layer[] = [
      ['Add', 'x t', 'a'],
      ['Conv', 'a w b', 'y', { pads }],
    ];
    expect(operatorsOf(await folded(network({ input, layers: shifted, weights })))).toEqual({ Conv: 1, Add: 1 });
  });

  it('writes hard-swish with two operators instead of four', async () => {
    const layers: Layer[] = [['Conv', 'x w b', 'c'], ...hardSwish];
    expect(operatorsOf(await folded(network({ input, layers, weights: { ...conv, ...swishWeights } })))).toEqual({
      Conv: 1,
      HardSigmoid: 1,
      Mul: 1,
    });
  });

  it('leaves what only looks like hard-swish', async () => {
    const layers: Layer[] = [['Conv', 'x w b', 'c'], ...hardSwish];
    for (const wrong of [
      { three: scalar(2.5) },
      { six: { ...scalar(5), shape: [] } },
      { zero: { ...scalar(-1), shape: [] } },
    ]) {
      const model = network({ input, layers, weights: { ...conv, ...swishWeights, ...wrong } });
      expect(operatorsOf(await folded(model))['HardSigmoid']).toBeUndefined();
    }
  });

  it('does not touch the model it was given', () => {
    const layers: Layer[] = [
      ['Conv', 'x w b', 'c'],
      ['Mul', 'c v', 'y'],
    ];
    const model = network({ input, layers, weights: { ...conv, v: scalar(2) } });
    const before = structuredClone(model);
    foldConstants(model);
    expect(model).toEqual(before);
  });
});
