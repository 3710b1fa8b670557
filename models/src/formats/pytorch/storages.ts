/** PyTorch's storages and the tensors that lie in them: https://docs.pytorch.org/docs/stable/notes/serialization.html */
import { GraftError } from '@graft/core/error';
import { bytesPerElement, elementCount, tensorFromBytes, type DType, type Tensor } from '@graft/core/tensor';

/** Element types by the name of the storage's class. */
const dtypes: Readonly<Record<string, DType>> = {
  FloatStorage: 'float32',
  DoubleStorage: 'float64',
  HalfStorage: 'float16',
  BFloat16Storage: 'bfloat16',
  LongStorage: 'int64',
  IntStorage: 'int32',
  ShortStorage: 'int16',
  CharStorage: 'int8',
  ByteStorage: 'uint8',
  BoolStorage: 'bool',
};

export interface Storage {
  readonly dtype: DType;
  /** Number of elements that the file claims. */
  readonly length: number;
  /** Name of the bytes: an entry of the archive, or a key of the older format. */
  readonly key: string;
}

/** A tensor whose bytes are not read yet. */
export interface TensorReference {
  readonly storage: Storage;
  /** In elements. */
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

const isSize = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

function malformed(what: string): GraftError {
  return new GraftError('WEIGHTS_MALFORMED', `the PyTorch file ${what}`);
}

/** ('storage', class, key, location, length), see torch.serialization. Throws MODEL_UNSUPPORTED for an element type that is not known. */
export function storageOf(persistent: unknown): Storage {
  const [tag, type, key, , length] = Array.isArray(persistent) ? (persistent as readonly unknown[]) : [];
  const name = typeof type === 'function' ? type.name : '';
  const dtype = Object.hasOwn(dtypes, name) ? dtypes[name] : undefined;
  if (tag !== 'storage' || typeof key !== 'string' || !isSize(length)) throw malformed('names a storage that is none');
  if (dtype === undefined)
    throw new GraftError('MODEL_UNSUPPORTED', `the PyTorch file has a storage of class '${name}'`);
  return { dtype, key, length };
}

/** Storage classes to resolve names to: functions whose names are told apart later. */
export const storageClasses: ReadonlyMap<string, () => unknown> = new Map(
  Object.keys(dtypes).map((name) => {
    const type = (): never => {
      throw malformed(`calls ${name}`);
    };
    Object.defineProperty(type, 'name', { value: name });
    return [`torch.${name}`, type];
  }),
);

/** torch._utils._rebuild_tensor_v2(storage, offset, size, stride, ...). Throws WEIGHTS_MALFORMED where it leaves its storage. */
export function tensorReference(storage: unknown, offset: unknown, shape: unknown, strides: unknown): TensorReference {
  const [sizes, steps] = [shape, strides].map((list) =>
    Array.isArray(list) ? (list as readonly unknown[]) : undefined,
  );
  if (
    !isStorage(storage) ||
    !isSize(offset) ||
    !sizes?.every(isSize) ||
    !steps?.every(isSize) ||
    sizes.length !== steps.length
  ) {
    throw malformed('describes a tensor that is none');
  }
  const reach = sizes.reduce((sum, size, axis) => sum + Math.max(0, size - 1) * (steps[axis] ?? 0), offset);
  if (!sizes.includes(0) && reach >= storage.length) {
    throw malformed(
      `has a tensor [${sizes.join(', ')}] that reaches element ${reach} of a storage of ${storage.length}`,
    );
  }
  return { storage, offset, shape: sizes, strides: steps };
}

function isStorage(value: unknown): value is Storage {
  return typeof value === 'object' && value !== null && 'dtype' in value && 'key' in value && 'length' in value;
}

export function isTensorReference(value: unknown): value is TensorReference {
  return typeof value === 'object' && value !== null && 'storage' in value && 'strides' in value && 'shape' in value;
}

/** The tensor, row-major; a copy where it is a view across its storage. Throws WEIGHTS_MALFORMED where the bytes are too few. */
export function readTensor({ storage, offset, shape, strides }: TensorReference, bytes: Uint8Array): Tensor {
  const width = bytesPerElement[storage.dtype];
  if (bytes.length < storage.length * width) {
    throw malformed(`has ${bytes.length} bytes for storage '${storage.key}' of ${storage.length * width}`);
  }
  const count = elementCount(shape);
  if (isRowMajor(shape, strides)) {
    return tensorFromBytes(storage.dtype, shape, bytes.subarray(offset * width, (offset + count) * width));
  }
  const copy = new Uint8Array(count * width);
  for (let i = 0; i < count; i++) {
    const from = (offset + placeOf(i, shape, strides)) * width;
    copy.set(bytes.subarray(from, from + width), i * width);
  }
  return tensorFromBytes(storage.dtype, shape, copy);
}

function isRowMajor(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  return shape.toReversed().every((size, i) => {
    const stride = strides.at(-1 - i);
    const isNext = size === 1 || stride === expected;
    expected *= size;
    return isNext;
  });
}

/** Place of the i-th element in row-major order. */
function placeOf(i: number, shape: readonly number[], strides: readonly number[]): number {
  let [rest, place] = [i, 0];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis] ?? 1;
    place += (rest % size) * (strides[axis] ?? 0);
    rest = Math.floor(rest / size);
  }
  return place;
}
