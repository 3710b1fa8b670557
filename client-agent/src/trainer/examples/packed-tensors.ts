/** The tensors of an example in one piece, as the feature cache keeps them: their bytes side by side, in a fixed order. */
import { bytesOf, bytesPerElement, elementCount, tensorFromBytes, type DType } from '@graft/core/tensor';
import type { ExampleTensors } from '@graft/models/pipeline/batches/example-tensors';

export interface PackedTensor {
  readonly name: string;
  readonly dtype: DType;
  /** Without a batch dimension. */
  readonly shape: readonly number[];
}

/** What each tensor is, in order. */
export type PackedLayout = readonly PackedTensor[];

export function layoutOfExample(example: ExampleTensors): PackedLayout {
  return Object.entries(example).map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
}

/** Float32 numbers that hold the bytes of an example. */
export function packedLength(layout: PackedLayout): number {
  return Math.ceil(layout.reduce((sum, tensor) => sum + sizeBytes(tensor), 0) / 4);
}

/** The bytes, as numbers that mean nothing. Throws a RangeError where the example is not of the layout. */
export function pack(layout: PackedLayout, example: ExampleTensors): Float32Array {
  const packed = new Float32Array(packedLength(layout));
  const bytes = new Uint8Array(packed.buffer);
  let at = 0;
  for (const part of layout) {
    const value = example[part.name];
    if (value?.dtype !== part.dtype || value.shape.join() !== part.shape.join()) {
      throw new RangeError(`'${part.name}' is not ${part.dtype} [${part.shape.join(', ')}]`);
    }
    bytes.set(bytesOf(value), at);
    at += sizeBytes(part);
  }
  return packed;
}

/** Views into the packed bytes. */
export function unpack(layout: PackedLayout, packed: Float32Array): ExampleTensors {
  const bytes = new Uint8Array(packed.buffer, packed.byteOffset, packed.byteLength);
  let at = 0;
  return Object.fromEntries(
    layout.map((part) => {
      const begin = at;
      at += sizeBytes(part);
      return [part.name, tensorFromBytes(part.dtype, part.shape, bytes.subarray(begin, at))];
    }),
  );
}

function sizeBytes({ dtype, shape }: PackedTensor): number {
  return elementCount(shape) * bytesPerElement[dtype];
}
