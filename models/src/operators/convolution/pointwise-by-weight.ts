/** The gradient of a convolution of single pixels by its weight: dy [O, L] x^T [L, C], summed over the examples. */
import type { GraphBuilder } from '../graph-builder.js';
import { turnedProduct } from '../products/turned-product.js';
import type { Convolution } from './convolution.js';
import { rowsOf, toChannelsLast } from './layouts.js';

/**
 * A product for each example writes filters x channels numbers for each, one product over all pixels moves both values to rows of
 * pixels first. Where the session turns matrices as it multiplies them the first costs only what it writes; elsewhere it also
 * turns the input. 16 to 96 channels over 24 x 24 take 1.0 ms by example and 1.9 in one; 320 to 1280 over 3 x 3 take 9.5 and 3.4.
 */
function isByExample({ channels, filters, positions }: Convolution, { lowering }: GraphBuilder): boolean {
  const written = channels * filters;
  return lowering.fusedProducts === true ? written <= positions * (channels + filters) : positions >= 64;
}

export function pointwiseByWeight(conv: Convolution, dy: string, build: GraphBuilder): string {
  const { filters, channels, axes } = conv;
  const product = isByExample(conv, build) ? byExample(conv, dy, build) : byPixel(conv, dy, build);
  return build.add('Reshape', [product, build.ints([filters, channels, ...axes.map(() => 1)])]);
}

/** The longer side in rows, for which the runtime's products are faster; the sum is turned where that is the channels. */
function byExample({ x, channels, filters, positions }: Convolution, dy: string, build: GraphBuilder): string {
  const rows = (value: string, count: number): string =>
    build.add('Reshape', [value, build.ints([-1, count, positions])]);
  const [inputs, gradients] = [rows(x, channels), rows(dy, filters)];
  const tall = channels > filters;
  const [a, b] = tall ? [inputs, gradients] : [gradients, inputs];
  const sum = build.add('ReduceSum', [turnedProduct({ a, b, turnB: true }, build), build.ints([0])], { keepdims: 0 });
  return tall ? build.add('Transpose', [sum], { perm: [1, 0] }) : sum;
}

/** One product over all pixels of all examples. */
function byPixel({ x, channels, filters }: Convolution, dy: string, build: GraphBuilder): string {
  const pixels = (value: string, count: number): string => rowsOf(toChannelsLast(value, build), count, build);
  return build.add('Gemm', [pixels(dy, filters), pixels(x, channels)], { transA: 1 });
}
