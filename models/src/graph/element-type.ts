/**
 * What a value may be made of. A tensor in memory has one of the dtypes that JavaScript has arrays for, or keeps as bits; a graph may
 * also pass values of types that only a runtime can hold. Source: TensorProto.DataType of
 * https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
 */
import { bytesPerElement, type DType } from '@graft/core/tensor';

/** Types without an array: several elements a byte, texts, pairs. Constants of these stay in the graph and are never weights. */
export type OpaqueType =
  'string' | 'complex64' | 'complex128' | 'uint4' | 'int4' | 'uint2' | 'int2' | 'float4e2m1' | 'float8e8m0';

/** 'undefined' is that of a value whose type the file leaves to its producer; only inputs and outputs of subgraphs may be so. */
export type ElementType = DType | OpaqueType | 'undefined';

/** A constant of a type without an array: its bytes as ONNX packs them, or its texts. */
export interface OpaqueTensor {
  readonly type: OpaqueType;
  readonly shape: readonly number[];
  readonly data: Uint8Array | readonly string[];
}

/** Bits of one element; 0 where its length varies. */
export const bitsOf: Readonly<Record<OpaqueType, number>> = {
  string: 0,
  complex64: 64,
  complex128: 128,
  uint4: 4,
  int4: 4,
  uint2: 2,
  int2: 2,
  float4e2m1: 4,
  float8e8m0: 8,
};

/** Bytes of one element, which is a fraction where several share a byte; 0 where it is not known. */
export function bytesOfElement(type: ElementType): number {
  if (type === 'undefined') return 0;
  return isOpaque(type) ? bitsOf[type] / 8 : bytesPerElement[type];
}

export function isOpaque(type: ElementType): type is OpaqueType {
  return Object.hasOwn(bitsOf, type);
}
