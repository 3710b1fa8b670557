import * as fc from 'fast-check';

import { random } from '@graft/core/random';

import type { Node } from '../graph/graph.js';
import { pairFloors } from './pair-sums.js';
import { activationScale, quantizeActivation, quantizeBias, quantizeWeights, roundToEven } from './scale.js';

const float = fc.float({ min: Math.fround(-1e30), max: Math.fround(1e30), noNaN: true });
const anyRange = fc.tuple(float, float).map(([a, b]) => ({ min: Math.min(a, b), max: Math.max(a, b) }));

describe('the scale of an activation', () => {
  it('represents zero exactly', () => {
    fc.assert(
      fc.property(anyRange, (range) => {
        const { scale, zeroPoint } = activationScale(range);
        expect(quantizeActivation([0], { scale, zeroPoint })[0]).toBe(zeroPoint);
        expect(Number.isInteger(zeroPoint) && zeroPoint >= 0 && zeroPoint <= 255).toBe(true);
        expect(scale > 0 && Number.isFinite(scale) && Math.fround(scale) === scale).toBe(true);
      }),
    );
  });

  it('errs by at most half a step inside the range, and saturates outside', () => {
    fc.assert(
      fc.property(anyRange, fc.double({ min: 0, max: 1, noNaN: true }), (range, share) => {
        const { scale, zeroPoint } = activationScale(range);
        const value = range.min + share * (range.max - range.min);
        const [q = 0] = quantizeActivation([value], { scale, zeroPoint });
        expect(Math.abs(scale * (q - zeroPoint) - value)).toBeLessThanOrEqual(scale * 0.5001);
        const [low, high] = quantizeActivation([range.min - 1000 * scale, range.max + 1000 * scale], {
          scale,
          zeroPoint,
        });
        expect([low, high]).toEqual([0, 255]);
      }),
    );
  });

  it('has no step of zero for an activation that is always zero', () => {
    expect(activationScale({ min: 0, max: 0 })).toEqual({ scale: 2 ** -60, zeroPoint: 0 });
  });

  it('rounds halves to even, as QuantizeLinear does', () => {
    expect([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.4, 0.6].map(roundToEven)).toEqual([0, 2, 2, -0, -2, -2, 0, 1]);
  });
});

describe('the scales of weights', () => {
  const weightsOf = (seed: number, count: number): Float32Array => {
    const source = random(seed);
    return Float32Array.from({ length: count }, () => source.normal());
  };

  it('err by at most half a step of their channel and keep zero', () => {
    fc.assert(
      fc.property(fc.nat(), fc.constantFrom(0, 1), (seed, axis) => {
        const shape = [4, 6, 3, 3];
        const weights = weightsOf(seed, 216);
        weights[7] = 0;
        const { values, scales } = quantizeWeights(weights, { shape, axis });
        const stride = axis === 0 ? 54 : 9;
        const scaleOf = (i: number): number => scales[Math.floor(i / stride) % (shape[axis] ?? 1)] ?? NaN;
        for (const [i, q] of values.entries()) {
          expect(Math.abs(q * scaleOf(i) - (weights[i] ?? 0))).toBeLessThanOrEqual(scaleOf(i) * 0.5001);
          expect(Math.abs(q)).toBeLessThanOrEqual(127);
        }
        expect(values[7]).toBe(0);
      }),
      { numRuns: 20 },
    );
  });

  it('are positive where a whole channel is zero', () => {
    const { values, scales } = quantizeWeights(new Float32Array(4), { shape: [2, 2], axis: 0 });
    expect([...values, ...scales]).toEqual([0, 0, 0, 0, 2 ** -60, 2 ** -60]);
  });

  it('keep every pair of neighbours within 16 bits, in both orders in which a kernel may walk a channel', () => {
    const node: Node = { name: 'c', op: 'Conv', domain: '', inputs: [], outputs: [], attributes: {} };
    for (const shape of [
      [3, 5, 3, 3],
      [3, 8, 1, 1],
      [3, 2, 1, 2],
    ]) {
      const [channels = 0, inputs = 0, height = 0, width = 0] = shape;
      const taps = height * width;
      for (let seed = 0; seed < 20; seed++) {
        const weights = weightsOf(seed, channels * inputs * taps);
        const { values } = quantizeWeights(weights, {
          shape,
          axis: 0,
          least: pairFloors(node, weights, { shape, axis: 0 }),
        });
        for (let channel = 0; channel < channels; channel++) {
          const stored = [...values.subarray(channel * inputs * taps, (channel + 1) * inputs * taps)];
          const innermost = stored.map((_, i) => stored[(i % inputs) * taps + Math.floor(i / inputs)] ?? 0);
          for (const order of [stored, innermost]) {
            const sums = order.slice(1).map((value, i) => 255 * (value + (order[i] ?? 0)));
            expect(sums.every((sum) => sum <= 32767 && sum >= -32768)).toBe(true);
          }
        }
      }
    }
  });

  it('keep pairs of a matrix within 16 bits along the axis that is summed over', () => {
    const node: Node = { name: 'm', op: 'MatMul', domain: '', inputs: [], outputs: [], attributes: {} };
    const weights = Float32Array.of(1, -1, 1, 1, 1, -1);
    expect([...pairFloors(node, weights, { shape: [3, 2], axis: 1 })]).toEqual([2 / 127, 0]);
    expect([...pairFloors(node, weights, { shape: [2, 3], axis: 0 })]).toEqual([0, 2 / 127]);
  });
});

describe('biases', () => {
  it('are counted in steps of the products, and cannot overflow', () => {
    expect([...quantizeBias([1, -0.26, 1e30], Float32Array.of(0.5, 0.1, 1e-3))]).toEqual([2, -3, 2 ** 30]);
  });
});
