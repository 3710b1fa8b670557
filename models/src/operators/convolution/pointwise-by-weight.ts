/** The gradient of a convolution of single pixels by its weight: https://onnx.ai/onnx/operators/onnx__Conv.html */
import type { GraphBuilder } from '../graph-builder.js';
import type { Convolution } from './convolution.js';
import { rowsOf, toChannelsLast } from './layouts.js';

/**
 * From this many positions on, a product for each example is fastest; below, one over all examples.
 * 16 to 96 channels over 24 x 24 take 1.0 ms by example and 1.9 in one; 320 to 1280 over 3 x 3 take 9.5 and 3.4.
 */
const positionsForBatch = 64;

export function pointwiseByWeight(conv: Convolution, dy: string, build: GraphBuilder): string {
  const { filters, channels, axes } = conv;
  const product = conv.positions >= positionsForBatch ? byExample(conv, dy, build) : byPixel(conv, dy, build);
  return build.add('Reshape', [product, build.ints([filters, channels, ...axes.map(() => 1)])]);
}

/** The sum of dy [O, L] x^T [L, C] over the examples. */
function byExample({ x, channels, filters, positions }: Convolution, dy: string, build: GraphBuilder): string {
  const rows = (value: string, count: number): string =>
    build.add('Reshape', [value, build.ints([-1, count, positions])]);
  const turned = build.add('Transpose', [rows(x, channels)], { perm: [0, 2, 1] });
  const products = build.add('MatMul', [rows(dy, filters), turned]);
  return build.add('ReduceSum', [products, build.ints([0])], { keepdims: 0 });
}

/** One product over all pixels of all examples. */
function byPixel({ x, channels, filters }: Convolution, dy: string, build: GraphBuilder): string {
  const pixels = (value: string, count: number): string => rowsOf(toChannelsLast(value, build), count, build);
  return build.add('Gemm', [pixels(dy, filters), pixels(x, channels)], { transA: 1 });
}
