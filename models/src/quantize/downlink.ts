/**
 * Weights for the way down to the agents, in float16: half the bytes of every round.
 * The error of the rounding stays on the server: the master weights remain float32, and an agent's delta is taken against the
 * rounded weights that it was given but added to the master, so that errors do not add up over rounds.
 */
import { GraftError } from '@graft/core/error';
import { bytesOf, tensor, type Tensor, type Weights } from '@graft/core/tensor';

import { fromFloat16, toFloat16 } from '../formats/float16.js';
import { emptySafetensors } from '../formats/safetensors.js';

export interface Downlink {
  /** A safetensors file; `loadPart` widens its float16 tensors. */
  readonly bytes: Uint8Array;
  /** Names of the tensors that stayed float32 because a value lies beyond float16. */
  readonly kept: readonly string[];
}

/** Bits of 65520, from where on float16 rounds to infinity, and of float32's infinity. Bits of magnitudes are ordered as their values. */
const overflowBits = 0x477ff000;
const infinityBits = 0x7f800000;

/**
 * float32 tensors as float16, rounded to nearest even; other dtypes as they are. A tensor with a value that float16 cannot hold
 * stays float32, whole: infinity would destroy the model, and saturation would change it silently.
 * Throws DOWNLINK_OVERFLOW, naming the tensor, for a value that is not finite to begin with.
 */
export function encodeDownlink(weights: Weights): Downlink {
  const kept: string[] = [];
  const outlines = new Map<string, Pick<Tensor, 'dtype' | 'shape'>>();
  for (const [name, value] of weights) {
    const fits = value.dtype !== 'float32' || largestMagnitudeBits(name, value.data) < overflowBits;
    if (!fits) kept.push(name);
    outlines.set(name, value.dtype === 'float32' && fits ? { dtype: 'float16', shape: value.shape } : value);
  }
  const { bytes, offsets } = emptySafetensors(outlines);
  for (const [name, value] of weights) {
    const offset = offsets.get(name);
    if (value.dtype === 'float32' && outlines.get(name)?.dtype === 'float16')
      toFloat16(value.data, new Uint16Array(bytes.buffer, offset, value.data.length));
    else bytes.set(bytesOf(value), offset);
  }
  return { bytes, kept };
}

/** float16 tensors as float32; other dtypes as they are, without a copy. */
export function widen(value: Tensor): Tensor {
  return value.dtype === 'float16' ? tensor('float32', value.shape, fromFloat16(value.data)) : value;
}

/** Integers, because this loop runs over every weight of every round. */
function largestMagnitudeBits(name: string, values: Float32Array): number {
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
  let largest = 0;
  for (let i = 0; i < bits.length; i++) {
    const magnitude = (bits[i] as number) & 0x7fffffff;
    if (magnitude > largest) largest = magnitude;
  }
  if (largest < infinityBits) return largest;
  const value = values.find((one) => !Number.isFinite(one));
  throw new GraftError('DOWNLINK_OVERFLOW', `'${name}' holds ${value}, which cannot be sent to the agents`);
}
