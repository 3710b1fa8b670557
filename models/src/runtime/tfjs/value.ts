/**
 * A value of a running graph: a tensor of tfjs, or the numbers of a small constant that is uploaded when a kernel first reads it.
 * tfjs has float32, int32 and bool; the other integers are held as int32, so that int64 must fit there.
 */
import type * as tfjs from '@tensorflow/tfjs-core';

import { GraftError } from '@graft/core/error';
import { tensor as tensorOf, type DType, type Tensor } from '@graft/core/tensor';

import type { DeviceTensor } from '../runtime.js';

/** The module @tensorflow/tfjs-core, or one that holds it; which one is known when graft runs. */
export type TensorFlow = typeof tfjs;
export type DeviceArray = tfjs.Tensor;

type Held = 'float32' | 'int32' | 'bool';

const held: Readonly<Partial<Record<DType, Held>>> = {
  float32: 'float32',
  int32: 'int32',
  int64: 'int32',
  uint8: 'int32',
  int8: 'int32',
  uint16: 'int32',
  int16: 'int32',
  bool: 'bool',
};

/** How tfjs holds an element type. Throws MODEL_UNSUPPORTED for one that it does not. */
export function heldAs(dtype: DType, what: string): Held {
  const type = held[dtype];
  if (type !== undefined) return type;
  throw new GraftError('MODEL_UNSUPPORTED', `${what} is of ${dtype}, which the runtime tfjs does not hold`);
}

/** Up to here the numbers of integer tensors are kept beside the device, for shapes, axes and places. */
const hostElements = 1024;

export class Value implements DeviceTensor {
  private uploaded: DeviceArray | undefined;
  private downloaded: readonly number[] | undefined;
  private readonly upload: (() => DeviceArray) | undefined;

  private constructor(
    readonly dtype: DType,
    readonly shape: readonly number[],
    source: { tensor?: DeviceArray; upload?: () => DeviceArray; numbers?: readonly number[] },
  ) {
    this.uploaded = source.tensor;
    this.upload = source.upload;
    this.downloaded = source.numbers;
  }

  static onDevice(dtype: DType, tensor: DeviceArray, numbers?: readonly number[]): Value {
    return new Value(dtype, tensor.shape, { tensor, ...(numbers && { numbers }) });
  }

  /** Integers that stay on the host until a kernel reads them. */
  static ofNumbers(
    tf: TensorFlow,
    { dtype, shape }: { dtype: DType; shape: readonly number[] },
    numbers: readonly number[],
  ): Value {
    const upload = (): DeviceArray => tf.tensor(int32Of(numbers, dtype), [...shape], heldAs(dtype, 'a value'));
    return new Value(dtype, shape, { upload, numbers });
  }

  /** @param name for errors. Throws MODEL_UNSUPPORTED for an element type that tfjs lacks or where a number does not fit int32. */
  static of(tf: TensorFlow, name: string, given: Tensor): Value {
    const type = heldAs(given.dtype, `'${name}'`);
    if (type !== 'int32') {
      const numbers = given.data.length === 1 ? [Number(given.data[0])] : undefined;
      // A copy: one backend computes on the array that it was given.
      const data = (given.data as Float32Array).slice();
      return Value.onDevice(given.dtype, tf.tensor(data, [...given.shape], type), numbers);
    }
    const numbers = given.data.length <= hostElements ? Array.from(given.data as Int32Array, Number) : undefined;
    const upload = (): DeviceArray =>
      tf.tensor(int32Of(given.data as Int32Array, given.dtype, name), [...given.shape], 'int32');
    if (numbers !== undefined) return new Value(given.dtype, given.shape, { upload, numbers });
    return Value.onDevice(given.dtype, upload());
  }

  /** The tensor, uploaded now where it was not. It is not tidied: `dispose` ends it. */
  tensor(tf: TensorFlow): DeviceArray {
    if (this.uploaded === undefined) {
      if (this.upload === undefined) throw new GraftError('RUNTIME_FAILED', 'a value was read after it was disposed');
      this.uploaded = tf.keep(this.upload());
    }
    return this.uploaded;
  }

  /** The numbers; for a value on the device this waits for it. */
  numbers(): readonly number[] {
    if (this.downloaded === undefined) {
      if (this.uploaded === undefined) throw new GraftError('RUNTIME_FAILED', 'a value was read after it was disposed');
      this.downloaded = Array.from(this.uploaded.dataSync());
    }
    return this.downloaded;
  }

  /** The number of a scalar constant, where it is on the host already. */
  scalar(): number | undefined {
    return this.shape.length === 0 ? this.downloaded?.[0] : undefined;
  }

  /** The numbers where they are on the host already. */
  get known(): readonly number[] | undefined {
    return this.downloaded;
  }

  /** The tensor on the device, if it is there. */
  get handle(): DeviceArray | undefined {
    return this.uploaded;
  }

  /** The same data under another handle, which is disposed apart. */
  again(tf: TensorFlow): Value {
    const { dtype, shape, uploaded, downloaded, upload } = this;
    const numbers = downloaded && { numbers: downloaded };
    if (uploaded !== undefined) return new Value(dtype, shape, { tensor: tf.keep(tf.clone(uploaded)), ...numbers });
    return new Value(dtype, shape, { ...(upload && { upload }), ...numbers });
  }

  dispose(): void {
    this.uploaded?.dispose();
    this.uploaded = undefined;
  }

  /** A copy in an array of its own. */
  async read(): Promise<Tensor> {
    const data = this.uploaded === undefined ? (this.downloaded ?? []) : await this.uploaded.data();
    return plainTensor(this.dtype, this.shape, data);
  }
}

function plainTensor(dtype: DType, shape: readonly number[], data: ArrayLike<number>): Tensor {
  switch (dtype) {
    case 'float32':
      return tensorOf(dtype, shape, new Float32Array(data));
    case 'int64':
      return tensorOf(dtype, shape, BigInt64Array.from(Array.from(data), BigInt));
    case 'int32':
      return tensorOf(dtype, shape, new Int32Array(data));
    case 'bool':
    case 'uint8':
      return tensorOf(dtype, shape, new Uint8Array(data));
    case 'int8':
      return tensorOf(dtype, shape, new Int8Array(data));
    case 'uint16':
      return tensorOf(dtype, shape, new Uint16Array(data));
    case 'int16':
      return tensorOf(dtype, shape, new Int16Array(data));
    default:
      throw new GraftError('MODEL_UNSUPPORTED', `a result is of ${dtype}, which the runtime tfjs does not hold`);
  }
}

const [least, most] = [-(2 ** 31), 2 ** 31 - 1];

function int32Of(data: ArrayLike<number | bigint>, dtype: DType, name = 'a value'): Int32Array {
  const result = new Int32Array(data.length);
  for (let i = 0; i < data.length; i++) {
    const number = Number(data[i] ?? 0);
    if (number < least || number > most) {
      throw new GraftError(
        'MODEL_UNSUPPORTED',
        `'${name}' (${dtype}) holds ${data[i] ?? 0} at place ${i}; the runtime tfjs computes with 32 bits: ${least} to ${most}`,
      );
    }
    result[i] = number;
  }
  return result;
}
