/**
 * IEEE 754 binary16, stored as its bits. Rounds to nearest, ties to even, as every conversion instruction does;
 * past 65519 it is infinity, NaN stays NaN.
 * @param into where the bits are to lie, as many as there are numbers
 */
export function toFloat16(source: Float32Array, into: Uint16Array = new Uint16Array(source.length)): Uint16Array {
  // Signed, so that the engine keeps every number of this loop an integer; the usual numbers take its short way.
  const bits = new Int32Array(source.buffer, source.byteOffset, source.length);
  for (let i = 0; i < bits.length; i++) {
    const single = bits[i] as number;
    const magnitude = single & 0x7fffffff;
    into[i] = magnitude >= leastNormal && magnitude < overflow ? normalBits(single, magnitude) : halfBits(single);
  }
  return into;
}

export function fromFloat16(source: Uint16Array): Float32Array {
  const result = new Float32Array(source.length);
  const bits = new Uint32Array(result.buffer);
  for (let i = 0; i < source.length; i++) bits[i] = singleBits(source[i] ?? 0);
  return result;
}

/** Bits of float32's 2^-14, float16's least normal number, and of 65520, from where on it rounds to infinity. */
const leastNormal = 0x38800000;
const overflow = 0x477ff000;

function normalBits(single: number, magnitude: number): number {
  return ((single >>> 16) & 0x8000) | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
}

function halfBits(single: number): number {
  const sign = (single >>> 16) & 0x8000;
  const magnitude = single & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >>> 13) & 0x3ff);
  if (magnitude >= overflow) return sign | 0x7c00;
  if (magnitude >= leastNormal) return normalBits(single, magnitude);
  // Half of the smallest subnormal, 2^-25, is a tie that goes to the even zero.
  if (magnitude <= 0x33000000) return sign;
  const significand = (magnitude & 0x7fffff) | 0x800000;
  const shift = 126 - (magnitude >>> 23);
  const kept = significand >>> shift;
  const rest = significand & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return sign | (rest > half || (rest === half && (kept & 1) === 1) ? kept + 1 : kept);
}

function singleBits(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return sign | 0x7f800000 | (fraction << 13);
  if (exponent !== 0) return sign | ((exponent + 112) << 23) | (fraction << 13);
  if (fraction === 0) return sign;
  // A subnormal: move its leading one to the implicit place.
  const shift = Math.clz32(fraction) - 21;
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13);
}
