import { bytesOf, elementCount, tensor, tensorFromBytes, zeros } from './tensor.js';

describe('a tensor', () => {
  it('needs as many elements as its shape says', () => {
    expect(() => tensor('float32', [2, 3], new Float32Array(5))).toThrow('needs 6 elements, got 5');
    expect(elementCount([])).toBe(1);
    expect(zeros('int64', [2, 0]).data).toHaveLength(0);
  });

  it('is a view of aligned bytes, and a copy of others', () => {
    const bytes = Uint8Array.from([0, 0, 0, 0, 0, 0, 128, 63, 0, 0, 0, 64]);
    const aligned = tensorFromBytes('float32', [2], bytes.subarray(4));
    expect([...aligned.data]).toEqual([1, 2]);
    expect(aligned.data.buffer).toBe(bytes.buffer);
    const shifted = new Uint8Array(9);
    shifted.set(bytes.subarray(4), 1);
    expect([...tensorFromBytes('float32', [2], shifted.subarray(1)).data]).toEqual([1, 2]);
  });

  it('gives back its bytes without a copy', () => {
    const value = tensor('uint16', [2], Uint16Array.of(1, 2));
    expect([...bytesOf(value)]).toEqual([1, 0, 2, 0]);
    expect(bytesOf(value).buffer).toBe(value.data.buffer);
  });
});
