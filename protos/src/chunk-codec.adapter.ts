/**
 * The codec of the message Chunk, by hand: `bytes data = 1` is the tag 0x0a, the length as a varint, the bytes
 * (protobuf encoding guide, 'Length-Delimited Records'). Nothing is copied: an encoder writes the header in front of the
 * data where `allocateChunk` left room, a decoder returns a view. protobuf.js costs a third of the throughput here.
 */
import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';
import type { Chunk } from './messages.js';

/** Tag and the longest varint that a chunk's length needs (three bytes hold 2^21 - 1). */
const headerRoom = 4;
const dataTag = 0x0a;

const withHeaderRoom = new WeakSet<ArrayBufferLike>();

/**
 * A chunk of `sizeBytes` to be filled by a file read, the frame's header in the same buffer in front of it, where nothing
 * else may lie. A view of its first bytes is encoded in place too. It may be filled again once what was written is done.
 */
export function allocateChunk(sizeBytes: number): Chunk {
  const { buffer } = new Uint8Array(headerRoom + sizeBytes);
  withHeaderRoom.add(buffer);
  return { data: new Uint8Array(buffer, headerRoom, sizeBytes) };
}

/** The serialized message; over the chunk's own buffer where it has room, else a copy. */
export function encodeChunk({ data }: Chunk): Buffer {
  const length = data.byteLength;
  const headerBytes = 1 + varintBytes(length);
  const inPlace = data.byteOffset === headerRoom && withHeaderRoom.has(data.buffer);
  const frame = inPlace
    ? Buffer.from(data.buffer, headerRoom - headerBytes, headerBytes + length)
    : Buffer.allocUnsafe(headerBytes + length);
  frame[0] = dataTag;
  let rest = length;
  for (let at = 1; at < headerBytes; at++) {
    frame[at] = (rest & 0x7f) | (at < headerBytes - 1 ? 0x80 : 0);
    rest >>>= 7;
  }
  if (!inPlace) frame.set(data, headerBytes);
  return frame;
}

/**
 * The chunk in a serialized message, as a view. An empty message is an empty chunk.
 * Throws INVALID_REQUEST for other fields, a length that does not fit, or more than `limits.chunkBytes`.
 */
export function decodeChunk(message: Uint8Array): Chunk {
  if (message.byteLength === 0) return { data: message };
  if (message[0] !== dataTag) throw malformed(`begins with byte ${message[0]}, not the tag of 'data'`);
  let length = 0;
  let at = 1;
  for (let shift = 0; ; shift += 7) {
    const byte = message[at++];
    if (byte === undefined || shift > 21) throw malformed('has no valid length');
    length |= (byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  if (length > limits.chunkBytes) throw malformed(`has ${length} bytes, the limit is ${limits.chunkBytes}`);
  if (at + length !== message.byteLength) {
    throw malformed(`says ${length} bytes, ${message.byteLength - at} follow`);
  }
  return { data: message.subarray(at) };
}

function varintBytes(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : 4;
}

function malformed(why: string): GraftError {
  return new GraftError('INVALID_REQUEST', `a chunk ${why}`);
}
