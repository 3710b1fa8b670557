import { tensor } from '@graft/core/tensor';

import { tensorExample } from './tensor-example.js';

const series = { kind: 'tensor', shape: [2, 3], mean: 0, std: 1 } as const;

describe('a stored tensor', () => {
  it.each([
    ['float32', tensor('float32', [2, 3], Float32Array.of(1, 2, 3, 4, 5, 6))],
    ['float64', tensor('float64', [2, 3], Float64Array.of(1, 2, 3, 4, 5, 6))],
    ['uint8', tensor('uint8', [2, 3], Uint8Array.of(1, 2, 3, 4, 5, 6))],
    ['int64', tensor('int64', [2, 3], BigInt64Array.of(1n, 2n, 3n, 4n, 5n, 6n))],
  ])('of %s becomes float32 of the same shape', (_, value) => {
    expect(tensorExample(value, series, 'x[0]')).toEqual({
      x: { dtype: 'float32', shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) },
    });
  });

  it('is centred and scaled by channel, which is the last axis', () => {
    const value = tensor('float32', [2, 3], Float32Array.of(1, 10, 100, 3, 30, 300));
    const { x } = tensorExample(value, { ...series, mean: [1, 10, 100], std: [2, 20, 200] }, 'x[0]');
    expect([...(x?.data ?? [])]).toEqual([0, 0, 0, 1, 1, 1]);
  });

  it('is unsuitable in another shape, or where the means are not those of its channels', () => {
    const value = tensor('float32', [3, 2], new Float32Array(6));
    expect(() => tensorExample(value, series, 'x[4]')).toThrow(
      expect.objectContaining({ code: 'DATA_UNSUITABLE', message: expect.stringContaining('x[4] is [3, 2]') }),
    );
    const fitting = tensor('float32', [2, 3], new Float32Array(6));
    expect(() => tensorExample(fitting, { ...series, mean: [1, 2] }, 'x[4]')).toThrow(
      expect.objectContaining({ code: 'DATA_UNSUITABLE', message: expect.stringContaining('2 values of mean') }),
    );
  });

  it.each([NaN, Infinity, 1e39])('with %p in it cannot be used', (bad) => {
    const value = tensor('float64', [2, 3], Float64Array.of(0, 0, bad, 0, 0, 0));
    expect(() => tensorExample(value, series, 'x[9]')).toThrow(
      expect.objectContaining({ code: 'RECORD_UNUSABLE', message: expect.stringContaining('x[9]') }),
    );
  });
});
