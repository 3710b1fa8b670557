import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';

import { GraftError } from '@graft/core/error';
import { bytesOf, bytesPerElement, elementCount, tensorFromBytes, type DType, type Tensor } from '@graft/core/tensor';

import { decodeSafetensors, encodeSafetensors } from './safetensors.js';

/** A file with this header text and data. */
function fileOf(header: string, data = new Uint8Array(0), claimed = BigInt(header.length)): Uint8Array {
  const bytes = new Uint8Array(8 + header.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, claimed, true);
  bytes.set(new TextEncoder().encode(header), 8);
  bytes.set(data, 8 + header.length);
  return bytes;
}

/** The error of reading a file, as 'CODE: message'. */
function refusal(bytes: Uint8Array): string {
  try {
    decodeSafetensors(bytes);
    return 'read';
  } catch (error) {
    return error instanceof GraftError ? `${error.code}: ${error.message}` : String(error);
  }
}

const dtypes = Object.keys(bytesPerElement) as DType[];

const anyTensor: fc.Arbitrary<Tensor> = fc
  .record({
    dtype: fc.constantFrom(...dtypes),
    shape: fc.array(fc.nat({ max: 4 }), { maxLength: 4 }),
    fill: fc.nat({ max: 255 }),
  })
  .map(({ dtype, shape, fill }) => {
    const bytes = new Uint8Array(elementCount(shape) * bytesPerElement[dtype]).map((_, i) => (fill + i * 31) & 255);
    return tensorFromBytes(dtype, shape, bytes);
  });

const anyName = fc.oneof(fc.string({ maxLength: 12, unit: 'binary' }), fc.constantFrom('__proto__', '0', '17', ''));
const anyWeights = fc
  .array(fc.tuple(anyName, anyTensor), { maxLength: 8 })
  .map((pairs) => new Map(pairs))
  .filter((weights) =>
    [...weights.keys()].every((name) => name !== '__metadata__' && Buffer.from(name).toString() === name),
  );

const bits = (weights: ReadonlyMap<string, Tensor>): unknown =>
  [...weights]
    .map(([name, value]) => [name, value.dtype, value.shape, [...bytesOf(value)]])
    .sort(([a], [b]) => (String(a) < String(b) ? -1 : 1));

describe('safetensors', () => {
  it('gives back every name, dtype, shape and bit', () => {
    fc.assert(
      fc.property(
        anyWeights,
        fc.dictionary(fc.string(), fc.string(), { noNullPrototype: true }),
        (weights, metadata) => {
          const decoded = decodeSafetensors(encodeSafetensors(weights, metadata));
          expect(bits(decoded.weights)).toEqual(bits(weights));
          expect(decoded.metadata).toEqual(metadata);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('writes the same bytes whatever order the tensors come in', () => {
    fc.assert(
      fc.property(anyWeights, (weights) => {
        const reversed = new Map([...weights].reverse());
        expect(encodeSafetensors(reversed)).toEqual(encodeSafetensors(weights));
      }),
      { numRuns: 50 },
    );
  });

  it('reads tensors as views into the file', () => {
    const file = encodeSafetensors(new Map([['w', tensorFromBytes('float32', [2], new Uint8Array(8))]]));
    const data = decodeSafetensors(file).weights.get('w')?.data;
    expect(data?.buffer).toBe(file.buffer);
  });

  it('reads the example of the format description', () => {
    const header = '{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}  ';
    const { weights, metadata } = decodeSafetensors(fileOf(header, Uint8Array.of(0, 0, 128, 63, 0, 0, 0, 192)));
    expect(metadata).toEqual({ format: 'pt' });
    expect(weights.get('a')?.data).toEqual(Float32Array.of(1, -2));
  });
});

describe('a hostile safetensors file', () => {
  const entry = (text: string): string => `{"a":${text}}`;

  it('that claims a header of 3 GB is refused before anything is allocated', () => {
    expect(refusal(fileOf('{}', undefined, 3n << 30n))).toMatch(
      /the header claims 3221225472 bytes, the limit is 16777216/,
    );
    expect(refusal(fileOf('{}', undefined, 2n ** 64n - 1n))).toMatch(/claims 18446744073709551615 bytes/);
  });

  it('that is shorter than it claims is refused at every length', () => {
    const file = encodeSafetensors(new Map([['w', tensorFromBytes('int16', [3], new Uint8Array(6))]]));
    for (let length = 0; length < file.length; length++)
      expect(refusal(file.slice(0, length))).toMatch(/safetensors: /);
  });

  it.each([
    ['not JSON', '{"a":', /not UTF-8 JSON/],
    ['not an object', '[1]', /not a JSON object/],
    ['null', 'null', /not a JSON object/],
    ['metadata that are not text', '{"__metadata__":{"a":1}}', /metadata 'a' is not a string/],
    ['an entry that is no object', entry('7'), /tensor 'a' is not an object/],
    ['an unknown dtype', entry('{"dtype":"F6_E3M2","shape":[],"data_offsets":[0,1]}'), /has dtype "F6_E3M2"/],
    ['an inherited word as dtype', entry('{"dtype":"constructor","shape":[],"data_offsets":[0,1]}'), /has dtype/],
    ['a negative size', entry('{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}'), /not a list of sizes/],
    ['a fractional size', entry('{"dtype":"F32","shape":[0.5],"data_offsets":[0,2]}'), /not a list of sizes/],
    ['one offset', entry('{"dtype":"F32","shape":[],"data_offsets":[0]}'), /data_offsets \[0\]/],
    ['offsets in reverse', entry('{"dtype":"F32","shape":[0],"data_offsets":[4,0]}'), /data_offsets \[4, 0\]/],
    ['a shape that overflows', entry('{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}'), /needs/],
    ['too few bytes for its shape', entry('{"dtype":"F32","shape":[2],"data_offsets":[0,4]}'), /needs 8 bytes, has 4/],
    ['bytes beyond the end', entry('{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'), /cover 8 bytes of 4/],
    ['bytes that no tensor owns', '{}', /cover 0 bytes of 4/],
  ])('with %s is refused', (_, header, message) => {
    expect(refusal(fileOf(header, new Uint8Array(4)))).toMatch(message);
  });

  it('whose tensors overlap, or leave a hole, is refused', () => {
    const two = (first: string, second: string): string =>
      `{"a":{"dtype":"U8","shape":[2],"data_offsets":${first}},"b":{"dtype":"U8","shape":[2],"data_offsets":${second}}}`;
    expect(refusal(fileOf(two('[0,2]', '[1,3]'), new Uint8Array(3)))).toMatch(
      /tensor 'b' begins at 1, the one before it ends at 2/,
    );
    expect(refusal(fileOf(two('[0,2]', '[3,5]'), new Uint8Array(5)))).toMatch(
      /tensor 'b' begins at 3, the one before it ends at 2/,
    );
  });

  it('with a name twice is refused', () => {
    const one = (begin: number): string => `"a":{"dtype":"U8","shape":[1],"data_offsets":[${begin},${begin + 1}]}`;
    expect(refusal(fileOf(`{${one(0)},${one(1)}}`, new Uint8Array(2)))).toMatch(/begins at 1/);
  });

  it('of random bytes never does anything but refuse', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        expect(refusal(noise)).toMatch(/^(WEIGHTS_MALFORMED: safetensors: |read)/);
      }),
    );
  });
});
