/** TensorProto.DataType of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto and the element types of graft. */
import type { DType } from '@graft/core/tensor';
import { GraftError } from '@graft/core/error';

import { isOpaque, type ElementType } from '../../graph/element-type.js';

export const dataTypeOf: Readonly<Record<ElementType, number>> = {
  undefined: 0,
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
  complex64: 14,
  complex128: 15,
  bfloat16: 16,
  float8e4m3fn: 17,
  float8e4m3fnuz: 18,
  float8e5m2: 19,
  float8e5m2fnuz: 20,
  uint4: 21,
  int4: 22,
  float4e2m1: 23,
  float8e8m0: 24,
  uint2: 25,
  int2: 26,
};

const types = new Map(Object.entries(dataTypeOf).map(([type, code]) => [code, type as ElementType]));

/** The element type of a code; undefined where ONNX has no such code, or 0. */
export function elementTypeOf(dataType: number): ElementType | undefined {
  return dataType === 0 ? undefined : types.get(dataType);
}

/** The dtype of an element type where there is an array for it. */
export function dtypeOf(dataType: number): DType | undefined {
  const type = elementTypeOf(dataType);
  return type === undefined || type === 'undefined' || isOpaque(type) ? undefined : type;
}

/** The element type of a value; `what` names it in the error. */
export function elementTypeFrom(dataType: number | undefined, what: string): Exclude<ElementType, 'undefined'> {
  const type = elementTypeOf(dataType ?? 0);
  if (type !== undefined && type !== 'undefined') return type;
  throw new GraftError('MODEL_MALFORMED', `${what} has the unknown element type ${dataType ?? 0}`);
}

/** The dtype of a tensor that must have an array; `what` names it in the error. */
export function dtypeFrom(dataType: number | undefined, what: string): DType {
  const type = elementTypeFrom(dataType, what);
  if (!isOpaque(type)) return type;
  throw new GraftError('MODEL_UNSUPPORTED', `${what} has element type ${type}, which is not supported`);
}
