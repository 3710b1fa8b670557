/**
 * What decoding a file would take in memory, from a walk over its tags alone: a repeated field of empty messages or
 * one-byte numbers grows a hundredfold, so a file of allowed size could fill the memory.
 * Source of the wire format: https://protobuf.dev/programming-guides/encoding/
 */
import protobuf from 'protobufjs/light.js';

import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';

/** Roughly what V8 takes for each, measured upwards: an object of a message, a string or view, a Long, a number in an array. */
const cost = { message: 256, view: 96, long: 48, number: 8 } as const;

type Messages = Readonly<Record<string, Readonly<Record<string, protobuf.IField>>>>;

const lengthDelimited = 2;

/** Throws MODEL_TOO_LARGE, or an Error where the bytes are not messages at all. */
export function checkBudget(
  bytes: Uint8Array,
  messages: Messages,
  { root = 'Model', limit = limits.onnxDecodedBytes }: { readonly root?: string; readonly limit?: number } = {},
): void {
  const fields = new Map(
    Object.entries(messages).map(([type, byName]) => [
      type,
      new Map(Object.values(byName).map((field) => [field.id, field.type])),
    ]),
  );
  const reader = protobuf.Reader.create(bytes);
  let total = 0;
  const walk = (type: string, end: number, depth: number): void => {
    if (depth > protobuf.Reader.recursionLimit) throw new Error('messages are nested too deeply');
    while (reader.pos < end) {
      const tag = reader.uint32();
      const [id, wire] = [tag >>> 3, tag & 7];
      const field = fields.get(type)?.get(id);
      const start = reader.pos;
      if (field !== undefined && wire === lengthDelimited && fields.has(field)) {
        const length = reader.uint32();
        if (reader.pos + length > end) throw new Error(`index out of range at ${reader.pos}`);
        total += cost.message;
        walk(field, reader.pos + length, depth + 1);
      } else {
        reader.skipType(wire, 0, id);
        if (field !== undefined) total += costOf(field, reader.pos - start, wire === lengthDelimited);
      }
      if (total > limit) {
        throw new GraftError(
          'MODEL_TOO_LARGE',
          `the file's fields would take over ${total} bytes of memory, the limit is ${limit}`,
        );
      }
    }
    if (reader.pos !== end) throw new Error(`a message ends at ${reader.pos}, expected ${end}`);
  };
  walk(root, bytes.length, 0);
}

/** Of one field, or of all its values where they are packed; a packed varint may be a single byte. */
function costOf(type: string, length: number, packed: boolean): number {
  switch (type) {
    case 'string':
    case 'bytes':
      return cost.view;
    case 'int64':
    case 'uint64':
      return cost.long * (packed ? length : 1);
    case 'float':
      return cost.number * (packed ? length / 4 : 1);
    case 'double':
      return cost.number * (packed ? length / 8 : 1);
    default:
      return cost.number * (packed ? length : 1);
  }
}
