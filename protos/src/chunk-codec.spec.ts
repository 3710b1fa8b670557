/** The raw codec of Chunk says on the wire what protobuf says, copies nothing, and takes no other bytes. */
import { loadSync } from '@grpc/proto-loader';
import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';
import * as fc from 'fast-check';
import { allocateChunk, decodeChunk, encodeChunk } from './chunk-codec.adapter.js';
import { chunkCount, chunkRange } from './chunks.js';
import type { Chunk } from './messages.js';
import { protoFolder } from './service-definitions.adapter.js';

/** protobuf.js as the oracle. */
const loaded = loadSync('graft/v1/federation.proto', { includeDirs: [protoFolder], defaults: true });
const oracle = loaded['graft.v1.Chunk'] as unknown as {
  serialize(chunk: Chunk): Buffer;
  deserialize(bytes: Buffer): Chunk;
};

function decoded(bytes: Uint8Array): string {
  try {
    return `${decodeChunk(bytes).data.byteLength} bytes`;
  } catch (error) {
    return error instanceof GraftError ? error.code : String(error);
  }
}

describe('a chunk', () => {
  test.each([0, 1, 127, 128, 16_383, 16_384, limits.chunkBytes])(
    'of %i bytes is what protobuf reads and writes',
    (length) => {
      const data = Buffer.alloc(length, 7);
      const bytes = encodeChunk({ data });
      expect(Buffer.from(oracle.deserialize(bytes).data).equals(data)).toBe(true);
      expect(Buffer.from(decodeChunk(oracle.serialize({ data })).data).equals(data)).toBe(true);
      expect(Buffer.from(decodeChunk(bytes).data).equals(data)).toBe(true);
    },
  );

  test('that was allocated for it is encoded in place, and decoded as a view', () => {
    const chunk = allocateChunk(300);
    chunk.data.fill(9);
    const bytes = encodeChunk(chunk);
    expect(bytes.buffer).toBe(chunk.data.buffer);
    expect(oracle.deserialize(bytes)).toEqual({ data: Buffer.alloc(300, 9) });
    expect(decodeChunk(bytes).data.buffer).toBe(bytes.buffer);
  });

  test('that is a part of another buffer leaves the bytes before it alone', () => {
    const buffer = Buffer.alloc(16, 5);
    encodeChunk({ data: buffer.subarray(4, 8) });
    expect(buffer).toEqual(Buffer.alloc(16, 5));
  });

  test.each([
    ['another field', [0x12, 1, 0], 'begins with byte 18'],
    ['another wire type', [0x08, 1], 'begins with byte 8'],
    ['no length', [0x0a], 'no valid length'],
    ['a length without an end', [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff], 'no valid length'],
    ['too long a length', [0x0a, 5, 1], 'says 5 bytes, 1 follow'],
    ['bytes after it', [0x0a, 1, 1, 1], 'says 1 bytes, 2 follow'],
    ['more than the limit', [0x0a, 0x81, 0x80, 0x40], 'has 1048577 bytes, the limit is 1048576'],
    ['a negative length', [0x0a, 0x80, 0x80, 0x80, 0x78], 'the limit is 1048576'],
  ])('with %s is refused', (_name, bytes, message) => {
    expect(() => decodeChunk(Uint8Array.from(bytes))).toThrow(message);
  });

  test('of any bytes decodes or is a typed error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 12 }), (bytes) => {
        expect(decoded(bytes)).toMatch(/^(\d+ bytes|INVALID_REQUEST)$/u);
      }),
    );
  });
});

describe('a blob', () => {
  test('is cut into whole chunks and a rest', () => {
    expect([0, 1, limits.chunkBytes, limits.chunkBytes + 1].map(chunkCount)).toEqual([0, 1, 1, 2]);
    expect(chunkRange(limits.chunkBytes + 1, 1)).toEqual({ start: limits.chunkBytes, length: 1 });
    expect(() => chunkRange(limits.chunkBytes, 1)).toThrow('chunk 1 of a blob of 1048576 bytes, which has 1');
  });

  test('has ranges that touch and add up, whatever its size', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 5 * limits.chunkBytes }), (sizeBytes) => {
        const ranges = Array.from({ length: chunkCount(sizeBytes) }, (_, index) => chunkRange(sizeBytes, index));
        const end = ranges.reduce((at, { start, length }) => (start === at ? at + length : Number.NaN), 0);
        expect(end).toBe(sizeBytes);
      }),
    );
  });
});
