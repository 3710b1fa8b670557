/**
 * 8-bit weights that cannot overflow. On x86 without VNNI the product of uint8 and int8 goes through vpmaddubsw, which adds two
 * neighbouring products in 16 bits and saturates: 255 * 127 * 2 does not fit. The usual remedy gives all weights 7 bits. But only
 * pairs of neighbours of one sign are at risk, and two large weights seldom meet, so it is enough that no such pair sums to more
 * than 128, since 255 * 128 fits: most channels keep nearly all of their 8 bits.
 * Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, PMADDUBSW.
 */
import type { Node } from '../graph/graph.js';
import { channelIndex } from './scale.js';

/** One less than floor(32767 / 255), since rounding may add a half to both. */
const pairLimit = 127;

/**
 * The least scale of each output channel at which no neighbouring pair overflows. Neighbours are those along the sum in the orders in
 * which kernels walk it: as stored, and for a Conv with the input channels innermost.
 */
export function pairFloors(
  node: Node,
  weights: Float32Array,
  { shape, axis }: { shape: readonly number[]; axis: number },
): Float64Array {
  const floors = new Float64Array(shape[axis] ?? 1);
  const channelOf = channelIndex(shape, axis);
  const [, inputs = 1, ...kernel] = shape;
  const taps = node.op === 'Conv' ? kernel.reduce((product, size) => product * size, 1) : 1;
  const along = axis === 0 ? 1 : shape.slice(1).reduce((product, size) => product * size, 1);
  const orders = taps === 1 ? [along] : [1, taps];
  for (const step of orders) {
    for (let i = 0; i + step < weights.length; i++) {
      const channel = channelOf(i);
      if (channelOf(i + step) === channel) raise(floors, channel, [weights[i] ?? 0, weights[i + step] ?? 0]);
    }
  }
  // The last input channel of one tap meets the first of the next.
  const last = taps > 1 ? weights.length / taps : 0;
  for (let i = inputs - 1; i < last; i += inputs) {
    for (let tap = 0; tap + 1 < taps; tap++) {
      const first = i - inputs + 1;
      raise(floors, channelOf(i * taps), [weights[i * taps + tap] ?? 0, weights[first * taps + tap + 1] ?? 0]);
    }
  }
  return floors;
}

function raise(floors: Float64Array, channel: number, [a, b]: readonly [number, number]): void {
  if (a * b > 0) floors[channel] = Math.max(floors[channel] ?? 0, Math.abs(a + b) / pairLimit);
}
