/** TensorProto to tensor and back. Raw data are read in place; every size is checked before anything is allocated. */
import { bytesOf, bytesPerElement, tensor, tensorFromBytes, type DType, type Tensor } from '@graft/core/tensor';
import { GraftError } from '@graft/core/error';

import { dataTypeOf, dtypeFrom } from './data-types.js';
import { integer, type Int64, type TensorProto } from './onnx-schema.js';

const externalLocation = 1;

/** @param what names the tensor in errors */
export function readTensor(proto: TensorProto, what: string): Tensor {
  refuseExternal(proto, what);
  const dtype = dtypeFrom(proto.dataType, what);
  const shape = shapeOf(proto, what);
  const count = shape.reduce((product, size) => product * size, 1);
  if (Object.hasOwn(proto, 'rawData') && proto.rawData !== undefined) {
    checkLength({ what, shape, expected: count * bytesPerElement[dtype], got: proto.rawData.length, unit: 'bytes' });
    return tensorFromBytes(dtype, shape, proto.rawData);
  }
  return readTyped(proto, dtype, { what, shape, expected: count, unit: 'elements' });
}

export function writeTensor(name: string, value: Tensor): TensorProto {
  return { name, dims: value.shape, dataType: dataTypeOf[value.dtype], rawData: bytesOf(value) };
}

/** Sizes of a tensor, none of them negative. */
export function shapeOf(proto: TensorProto, what: string): number[] {
  return (proto.dims ?? []).map((dim) => {
    const size = integer(dim, `a dimension of ${what}`);
    if (size < 0) throw new GraftError('MODEL_MALFORMED', `${what} has the negative dimension ${size}`);
    return size;
  });
}

/** Throws MODEL_UNSUPPORTED for data that lie outside of the file, or in pieces. */
export function refuseExternal(proto: TensorProto, what: string): void {
  const location = proto.externalData?.find(({ key }) => key === 'location')?.value;
  if (proto.dataLocation === externalLocation || (proto.externalData?.length ?? 0) > 0) {
    throw new GraftError(
      'MODEL_UNSUPPORTED',
      `${what} keeps its data in another file (${JSON.stringify(location ?? '')}); external data are never read, store the weights in the model file`,
    );
  }
  if (Object.hasOwn(proto, 'segment')) throw new GraftError('MODEL_UNSUPPORTED', `${what} is stored in segments`);
}

interface Expectation {
  readonly what: string;
  readonly shape: readonly number[];
  readonly expected: number;
  readonly unit: 'bytes' | 'elements';
}

export function checkLength({ what, shape, expected, unit, got }: Expectation & { readonly got: number }): void {
  if (expected !== got) {
    throw new GraftError(
      'MODEL_MALFORMED',
      `${what} of shape [${shape.join(', ')}] needs ${expected} ${unit}, has ${got}`,
    );
  }
}

/** The fields that hold data by type where there are no raw bytes; which dtype lies in which is fixed by onnx.proto. */
function readTyped(proto: TensorProto, dtype: DType, expectation: Expectation): Tensor {
  const { shape } = expectation;
  const checked = <T>(values: readonly T[] | undefined): readonly T[] => {
    checkLength({ ...expectation, got: values?.length ?? 0 });
    return values ?? [];
  };
  switch (dtype) {
    case 'float32':
      return tensor(dtype, shape, Float32Array.from(checked(proto.floatData)));
    case 'float64':
      return tensor(dtype, shape, Float64Array.from(checked(proto.doubleData)));
    case 'int64':
      return tensor(dtype, shape, BigInt64Array.from(checked(proto.int64Data), bigInteger));
    case 'uint64':
      return tensor(
        dtype,
        shape,
        BigUint64Array.from(checked(proto.uint64Data), (v) => BigInt.asUintN(64, bigInteger(v))),
      );
    case 'uint32':
      return tensor(
        dtype,
        shape,
        Uint32Array.from(checked(proto.uint64Data), (v) => Number(bigInteger(v))),
      );
    case 'int32':
      return tensor(dtype, shape, Int32Array.from(checked(proto.int32Data)));
    case 'int16':
      return tensor(dtype, shape, Int16Array.from(checked(proto.int32Data)));
    case 'int8':
      return tensor(dtype, shape, Int8Array.from(checked(proto.int32Data)));
    case 'uint16':
    case 'float16':
    case 'bfloat16':
      return tensor(dtype, shape, Uint16Array.from(checked(proto.int32Data)));
    // uint8, bool and the float8 types.
    default:
      return tensor(dtype, shape, Uint8Array.from(checked(proto.int32Data)));
  }
}

function bigInteger(value: Int64): bigint {
  if (typeof value === 'number') return BigInt(value);
  return (BigInt(value.high) << 32n) | BigInt(value.low >>> 0);
}
