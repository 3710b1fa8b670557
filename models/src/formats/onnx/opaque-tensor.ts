/** Constants of types that JavaScript has no array for: their bytes as ONNX packs them, or their texts. */
import { GraftError } from '@graft/core/error';

import { bitsOf, type OpaqueTensor, type OpaqueType } from '../../graph/element-type.js';
import { dataTypeOf } from './data-types.js';
import type { TensorProto } from './onnx-schema.js';
import { checkLength, refuseExternal, shapeOf } from './tensor-proto.js';

/** @param what names the tensor in errors */
export function readOpaque(proto: TensorProto, type: OpaqueType, what: string): OpaqueTensor {
  refuseExternal(proto, what);
  const shape = shapeOf(proto, what);
  const count = shape.reduce((product, size) => product * size, 1);
  if (type === 'string') {
    const texts = proto.stringData ?? [];
    checkLength({ what, shape, expected: count, got: texts.length, unit: 'elements' });
    return { type, shape, data: texts.map((bytes) => textOf(bytes, what)) };
  }
  const data = Object.hasOwn(proto, 'rawData') ? (proto.rawData ?? new Uint8Array()) : typedBytes(proto, type);
  checkLength({ what, shape, expected: Math.ceil((count * bitsOf[type]) / 8), got: data.length, unit: 'bytes' });
  return { type, shape, data };
}

/** Until there are raw bytes: pairs of floats for complex numbers, a byte in each int32 for the others. */
function typedBytes(proto: TensorProto, type: OpaqueType): Uint8Array {
  if (type === 'complex64') return new Uint8Array(Float32Array.from(proto.floatData ?? []).buffer);
  if (type === 'complex128') return new Uint8Array(Float64Array.from(proto.doubleData ?? []).buffer);
  return Uint8Array.from(proto.int32Data ?? []);
}

export function writeOpaque(name: string, { type, shape, data }: OpaqueTensor): TensorProto {
  const head = { name, dims: shape, dataType: dataTypeOf[type] };
  if (data instanceof Uint8Array) return { ...head, rawData: data };
  const encoder = new TextEncoder();
  return { ...head, stringData: data.map((text) => encoder.encode(text)) };
}

/** Throws MODEL_UNSUPPORTED for bytes that are no text: another reader would take them for something else. */
export function textOf(bytes: Uint8Array | undefined, what: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes ?? new Uint8Array());
  } catch (cause) {
    throw new GraftError('MODEL_UNSUPPORTED', `${what} is not UTF-8 text`, { cause });
  }
}
