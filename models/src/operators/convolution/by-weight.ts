/** The gradient of a convolution by its weight, a sum over examples and positions, in the form that is fastest for its size on CPUs. */
import type { GraphBuilder } from '../graph-builder.js';
import { isPointwise, isUnstrided, type Convolution } from './convolution.js';
import { exchangedConv } from './exchanged-convolution.js';
import { pointwiseByWeight } from './pointwise-by-weight.js';
import { channelRows, jointTaps, pixelRows } from './weight-by-taps.js';

/** From this many channels on rows of pixels are long enough to be taken apart as they are; below, channels are the rows. */
const channelsForPixels = 128;

/** Up to this many channels taps are too thin for products of their own. */
const thinChannels = 4;

/** Over few channels, from this many taps on, the textbook form is the fastest; of 3 x 3 taps with steps it takes 13 ms, the joint form 7. */
const manyTaps = 25;

/** Adds the gradient by the weight, given the one by the output. */
export function byWeight(conv: Convolution, dy: string, build: GraphBuilder): string {
  const { channels, group, taps } = conv;
  if (isPointwise(conv) && isUnstrided(conv)) return pointwiseByWeight(conv, dy, build);
  if (group !== 1) return pixelRows(conv, dy, build);
  if (channels <= thinChannels) {
    return taps >= manyTaps ? exchangedConv(conv, dy, build) : jointTaps(conv, dy, build);
  }
  return channels < channelsForPixels ? channelRows(conv, dy, build) : pixelRows(conv, dy, build);
}
