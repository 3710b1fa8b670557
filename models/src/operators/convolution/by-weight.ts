/**
 * The gradient of a convolution by its weight: a sum over examples and positions, one matrix product a tap of the kernel.
 * A convolution with exchanged axes, the textbook form, is two to five times slower on CPUs but for kernels of many taps
 * over few channels (7 x 7 over 3: 12 ms against 18 of one joint product and 56 of taps; batch 32, one thread).
 */
import type { GraphBuilder } from '../graph-builder.js';
import { pad, slice } from '../indexing.js';
import { isDepthwise, isPointwise, isUnstrided, type Convolution } from './convolution.js';
import { rowsOf, toChannelsLast } from './layouts.js';

/** From this many positions on, a product for each example is fastest; below, one over all examples. */
const positionsForBatch = 64;

/** From this many channels on rows of pixels are long enough to be taken apart as they are; below, channels are the rows. */
const channelsForPixels = 128;

/** Up to this many channels taps are too thin for products of their own. */
const thinChannels = 4;

/** Over few channels, from this many taps on, the textbook form is the fastest. */
const manyTaps = 25;

export function byWeight(conv: Convolution, dy: string, build: GraphBuilder): string {
  const { axes, filters, channels, group } = conv;
  const shape = build.ints([filters, channels / group, ...axes.map(({ kernel }) => kernel)]);
  const dense = group === 1;
  if (isPointwise(conv) && isUnstrided(conv)) {
    const product = conv.positions >= positionsForBatch ? byExample(conv, dy, build) : byPixel(conv, dy, build);
    return build.add('Reshape', [product, shape]);
  }
  if (dense && channels <= thinChannels) {
    return conv.taps >= manyTaps ? exchangedConv(conv, dy, build) : jointTaps(conv, dy, build);
  }
  if (dense && channels < channelsForPixels) return channelRows(conv, dy, build);
  return pixelRows(conv, dy, build);
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

/** The textbook form: examples as channels, the gradient as the kernel. */
function exchangedConv({ x, axes, channels, taps, filters }: Convolution, dy: string, build: GraphBuilder): string {
  const swap = (value: string): string =>
    build.add('Transpose', [value], { perm: [1, 0, ...axes.map((_, i) => i + 2)] });
  const ends = axes.map(
    ({ stride, dilation, kernel, output, input, begin }) =>
      (output - 1) * stride + dilation * (kernel - 1) + 1 - input - begin,
  );
  // Where the window leaves elements out at the end, the result has taps more than the kernel.
  const more = build.add('Conv', [swap(x), swap(dy)], {
    kernel_shape: axes.map(({ output }) => output),
    strides: axes.map(({ dilation }) => dilation),
    dilations: axes.map(({ stride }) => stride),
    pads: [...axes.map(({ begin }) => begin), ...ends.map((end) => Math.max(0, end))],
  });
  const cut = axes.flatMap(({ kernel }, i) => ((ends[i] ?? 0) < 0 ? [{ axis: i + 2, start: 0, end: kernel }] : []));
  const result = cut.length === 0 ? more : slice(more, cut, build);
  const perm = build.add('Reshape', [result, build.ints([channels, filters, taps])]);
  const shape = build.ints([filters, channels, ...axes.map(({ kernel }) => kernel)]);
  return build.add('Reshape', [build.add('Transpose', [perm], { perm: [1, 0, 2] }), shape]);
}

/** What each tap sees of a padded value whose spatial axes begin at `first`. */
export function seenByTaps(padded: string, conv: Convolution, first: number, build: GraphBuilder): string[] {
  const { axes } = conv;
  const offsets = axes.reduce<number[][]>(
    (all, { kernel }) => all.flatMap((each) => [...Array(kernel).keys()].map((tap) => [...each, tap])),
    [[]],
  );
  return offsets.map((offset) => {
    const ranges = axes.map(({ stride, dilation, output }, i) => {
      const start = (offset[i] ?? 0) * dilation;
      return { axis: first + i, start, end: start + (output - 1) * stride + 1, step: stride };
    });
    return slice(padded, ranges, build);
  });
}

/** The padding of a value whose spatial axes begin at `first`. */
export function padded(value: string, { axes }: Convolution, first: number, build: GraphBuilder): string {
  const amounts = [...axes.map(({ begin }) => begin), ...axes.map(({ end }) => end)];
  return pad(value, amounts, { axes: axes.map((_, i) => first + i), build });
}

/** [C, N, ...]: channels in rows, so that a product's long side is contiguous. */
function channelsFirst(value: string, { axes }: Convolution, build: GraphBuilder): string {
  return build.add('Transpose', [value], { perm: [1, 0, ...axes.map((_, i) => i + 2)] });
}

/** A product a tap: dy [O, N L] times what the tap sees, [C, N L] turned. */
function channelRows(conv: Convolution, dy: string, build: GraphBuilder): string {
  const { channels, filters, axes } = conv;
  const gradient = build.add('Reshape', [channelsFirst(dy, conv, build), build.ints([filters, -1])]);
  const x = padded(channelsFirst(conv.x, conv, build), conv, 2, build);
  const products = seenByTaps(x, conv, 2, build).map((seen) => {
    const rows = build.add('Reshape', [seen, build.ints([channels, -1])]);
    const product = build.add('Gemm', [gradient, rows], { transB: 1 });
    return build.add('Reshape', [product, build.ints([filters, channels, 1])]);
  });
  return joinTaps(products, [filters, channels, ...axes.map(({ kernel }) => kernel)], build);
}

/** All taps of a few channels in one product. */
function jointTaps(conv: Convolution, dy: string, build: GraphBuilder): string {
  const { channels, filters, axes, taps } = conv;
  const gradient = build.add('Reshape', [channelsFirst(dy, conv, build), build.ints([filters, -1])]);
  const x = padded(channelsFirst(conv.x, conv, build), conv, 2, build);
  const seen = seenByTaps(x, conv, 2, build);
  const all = seen.length === 1 ? (seen[0] ?? '') : build.add('Concat', seen, { axis: 0 });
  const rows = build.add('Reshape', [all, build.ints([taps * channels, -1])]);
  const product = build.add('Gemm', [gradient, rows], { transB: 1 });
  const byTap = build.add('Reshape', [product, build.ints([filters, taps, channels])]);
  const shape = build.ints([filters, channels, ...axes.map(({ kernel }) => kernel)]);
  return build.add('Reshape', [build.add('Transpose', [byTap], { perm: [0, 2, 1] }), shape]);
}

/** Products over pixels as rows of channels, for any number of groups. */
function pixelRows(conv: Convolution, dy: string, build: GraphBuilder): string {
  const { channels, filters, group, axes } = conv;
  const gradient = toChannelsLast(dy, build);
  const seen = seenByTaps(padded(toChannelsLast(conv.x, build), conv, 1, build), conv, 1, build);
  const product = tapProduct(conv, gradient, build);
  const products = seen.map((each) =>
    build.add('Reshape', [product(each), build.ints([filters, channels / group, 1])]),
  );
  return joinTaps(products, [filters, channels / group, ...axes.map(({ kernel }) => kernel)], build);
}

/** The product of what a tap sees with the gradient [N, ..., O]. */
function tapProduct(conv: Convolution, gradient: string, build: GraphBuilder): (seen: string) => string {
  const { channels, filters, group } = conv;
  if (group === 1) {
    const rows = rowsOf(gradient, filters, build);
    return (seen) => build.add('Gemm', [rows, rowsOf(seen, channels, build)], { transA: 1 });
  }
  if (isDepthwise(conv)) {
    return (seen) => {
      const products = rowsOf(build.add('Mul', [gradient, seen]), channels, build);
      return build.add('ReduceSum', [products, build.ints([0])], { keepdims: 0 });
    };
  }
  const groups = (value: string, count: number, perm: readonly number[]): string =>
    build.add('Transpose', [build.add('Reshape', [value, build.ints([-1, group, count / group])])], { perm });
  const byGroup = groups(gradient, filters, [1, 2, 0]);
  return (seen) => build.add('MatMul', [byGroup, groups(seen, channels, [1, 0, 2])]);
}

/** Products [filters, channels, 1] side by side, in the weight's shape. */
function joinTaps(products: readonly string[], shape: readonly number[], build: GraphBuilder): string {
  const joined = products.length === 1 ? (products[0] ?? '') : build.add('Concat', products, { axis: 2 });
  return build.add('Reshape', [joined, build.ints(shape)]);
}
