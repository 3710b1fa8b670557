import { tensor, type Tensor } from '@graft/core/tensor';

import { decodeSafetensors } from '../formats/safetensors.js';
import { noise } from './small-network.contract.js';
import { encodeDownlink, widen } from './downlink.js';

describe('the weights on their way down', () => {
  it('take half the bytes and err by at most half a step of float16', () => {
    const weight = noise(1, [100, 64]);
    const { bytes, kept } = encodeDownlink(new Map([['w', weight]]));
    expect(kept).toEqual([]);
    expect(bytes.length).toBeLessThan(100 * 64 * 2 + 200);
    const found = decodeSafetensors(bytes).weights.get('w');
    expect(found?.dtype).toBe('float16');
    const back = widen(found ?? weight);
    for (const [i, value] of weight.data.entries()) {
      expect(Math.abs(Number(back.data[i]) - value)).toBeLessThanOrEqual(
        Math.max(Math.abs(value) * 2 ** -11, 2 ** -25),
      );
    }
  });

  it('stay float32 where float16 would make them infinite, and only there', () => {
    const large = tensor('float32', [2], Float32Array.of(1, 65520));
    const limit = tensor('float32', [2], Float32Array.of(-65519, 65504));
    const { bytes, kept } = encodeDownlink(
      new Map([
        ['large', large],
        ['limit', limit],
      ]),
    );
    expect(kept).toEqual(['large']);
    const { weights } = decodeSafetensors(bytes);
    expect(weights.get('large')).toEqual(large);
    expect([...widen(weights.get('limit') ?? large).data]).toEqual([-65504, 65504]);
  });

  it('leave integers as they are', () => {
    const integers: Tensor = tensor('int64', [2], BigInt64Array.of(-1n, 1n << 40n));
    expect(decodeSafetensors(encodeDownlink(new Map([['i', integers]])).bytes).weights.get('i')).toEqual(integers);
  });

  it('are refused where they are not finite', () => {
    for (const value of [NaN, Infinity, -Infinity]) {
      const weights = new Map([['head.weight', tensor('float32', [1], Float32Array.of(value))]]);
      expect(() => encodeDownlink(weights)).toThrow(
        expect.objectContaining({ code: 'DOWNLINK_OVERFLOW', message: expect.stringContaining("'head.weight'") }),
      );
    }
  });
});
