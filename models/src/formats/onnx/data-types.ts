/** TensorProto.DataType of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto and the dtypes of graft. */
import type { DType } from '@graft/core/tensor';
import { GraftError } from '@graft/core/error';

export const dataTypeOf: Readonly<Record<DType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
};

const dtypes = new Map(Object.entries(dataTypeOf).map(([dtype, code]) => [code, dtype as DType]));

/** The dtype of an element type where graft has an array for it. */
export function dtypeOf(dataType: number): DType | undefined {
  return dtypes.get(dataType);
}

/** Types that ONNX knows and graft has no array for. */
const unsupported: ReadonlyMap<number, string> = new Map([
  [8, 'string'],
  [14, 'complex64'],
  [15, 'complex128'],
  [16, 'bfloat16'],
  [17, 'float8e4m3fn'],
  [18, 'float8e4m3fnuz'],
  [19, 'float8e5m2'],
  [20, 'float8e5m2fnuz'],
  [21, 'uint4'],
  [22, 'int4'],
  [23, 'float4e2m1'],
  [24, 'float8e8m0'],
  [25, 'uint2'],
  [26, 'int2'],
]);

/** The dtype of an ONNX element type; `what` names the value in the error. */
export function dtypeFrom(dataType: number | undefined, what: string): DType {
  const dtype = dtypes.get(dataType ?? 0);
  if (dtype !== undefined) return dtype;
  const name = unsupported.get(dataType ?? 0);
  if (name !== undefined) {
    throw new GraftError('MODEL_UNSUPPORTED', `${what} has element type ${name}, which is not supported`);
  }
  throw new GraftError('MODEL_MALFORMED', `${what} has the unknown element type ${dataType ?? 0}`);
}
