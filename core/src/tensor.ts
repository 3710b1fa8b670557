/** A tensor is a dtype, a shape and one flat row-major array. Nothing here copies data. */

export type DType =
  | 'float32'
  | 'float16'
  | 'float64'
  | 'int8'
  | 'uint8'
  | 'int16'
  | 'uint16'
  | 'int32'
  | 'uint32'
  | 'int64'
  | 'uint64'
  | 'bool'
  | 'bfloat16'
  | 'float8e4m3fn'
  | 'float8e4m3fnuz'
  | 'float8e5m2'
  | 'float8e5m2fnuz';

/** float16, bfloat16 and the float8 types are stored as their bits in words of their width, bool as 0 and 1 in a Uint8Array. */
export interface TensorData {
  float32: Float32Array;
  float16: Uint16Array;
  float64: Float64Array;
  int8: Int8Array;
  uint8: Uint8Array;
  int16: Int16Array;
  uint16: Uint16Array;
  int32: Int32Array;
  uint32: Uint32Array;
  int64: BigInt64Array;
  uint64: BigUint64Array;
  bool: Uint8Array;
  bfloat16: Uint16Array;
  float8e4m3fn: Uint8Array;
  float8e4m3fnuz: Uint8Array;
  float8e5m2: Uint8Array;
  float8e5m2fnuz: Uint8Array;
}

export type Tensor<D extends DType = DType> = {
  [K in D]: { readonly dtype: K; readonly shape: readonly number[]; readonly data: TensorData[K] };
}[D];

/** Named tensors. Iteration order is insertion order and carries no meaning. */
export type Weights = ReadonlyMap<string, Tensor>;

export const bytesPerElement: Readonly<Record<DType, number>> = {
  float32: 4,
  float16: 2,
  float64: 8,
  int8: 1,
  uint8: 1,
  int16: 2,
  uint16: 2,
  int32: 4,
  uint32: 4,
  int64: 8,
  uint64: 8,
  bool: 1,
  bfloat16: 2,
  float8e4m3fn: 1,
  float8e4m3fnuz: 1,
  float8e5m2: 1,
  float8e5m2fnuz: 1,
};

/** Whether the array of a tensor of this type holds its numbers, not the bits of a type that JavaScript does not have. */
export function holdsNumbers(dtype: DType): boolean {
  return !dtype.startsWith('float8') && !dtype.endsWith('float16');
}

const constructors = {
  float32: Float32Array,
  float16: Uint16Array,
  float64: Float64Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
  bfloat16: Uint16Array,
  float8e4m3fn: Uint8Array,
  float8e4m3fnuz: Uint8Array,
  float8e5m2: Uint8Array,
  float8e5m2fnuz: Uint8Array,
} as const;

/** Number of elements of a shape; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}

/** A tensor over `data`. Throws a RangeError where the data does not fill the shape. */
export function tensor<D extends DType>(dtype: D, shape: readonly number[], data: TensorData[D]): Tensor<D> {
  if (data.length !== elementCount(shape)) {
    throw new RangeError(
      `a ${dtype} tensor of shape [${shape.join(', ')}] needs ${elementCount(shape)} elements, got ${data.length}`,
    );
  }
  return { dtype, shape, data };
}

/** A tensor of zeros. */
export function zeros<D extends DType>(dtype: D, shape: readonly number[]): Tensor<D> {
  return tensor(dtype, shape, new constructors[dtype](elementCount(shape)) as TensorData[D]);
}

/**
 * A view of `bytes` as a tensor, without a copy where the offset is aligned, else over a copy.
 * @param bytes exactly `elementCount(shape) * bytesPerElement[dtype]` bytes, little-endian
 */
export function tensorFromBytes<D extends DType>(dtype: D, shape: readonly number[], bytes: Uint8Array): Tensor<D> {
  const width = bytesPerElement[dtype];
  // Not bytes.slice(): that of a Node Buffer is a view.
  const aligned = bytes.byteOffset % width === 0 ? bytes : new Uint8Array(bytes);
  const data = new constructors[dtype](aligned.buffer as ArrayBuffer, aligned.byteOffset, aligned.byteLength / width);
  return tensor(dtype, shape, data as TensorData[D]);
}

/** The bytes under a tensor, without a copy. */
export function bytesOf(value: Tensor): Uint8Array {
  return new Uint8Array(value.data.buffer, value.data.byteOffset, value.data.byteLength);
}
