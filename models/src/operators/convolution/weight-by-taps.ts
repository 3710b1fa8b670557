/**
 * The gradient of a convolution by its weight as one matrix product a tap of the kernel, or one of all taps.
 * Milliseconds of one thread, batch 32 (ONNX Runtime 1.30): 128 channels over 8 x 8 with pixels as rows 8.5, with channels as rows 10.9;
 * 64 channels over 16 x 16 the other way round 11.2 and 10.0; 3 channels of 3 x 3 taps 0.56 in one product, 0.7 to 1.8 in nine.
 */
import type { GraphBuilder } from '../graph-builder.js';
import { pad, slice } from '../indexing.js';
import { isDepthwise, type Convolution } from './convolution.js';
import { rowsOf, toChannelsLast } from './layouts.js';

/** A product a tap: dy [O, N L] times what the tap sees, [C, N L] turned. */
export function channelRows(conv: Convolution, dy: string, build: GraphBuilder): string {
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
export function jointTaps(conv: Convolution, dy: string, build: GraphBuilder): string {
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
export function pixelRows(conv: Convolution, dy: string, build: GraphBuilder): string {
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

/** What each tap sees of a padded value whose spatial axes begin at `first`. */
function seenByTaps(padded: string, conv: Convolution, first: number, build: GraphBuilder): string[] {
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
function padded(value: string, { axes }: Convolution, first: number, build: GraphBuilder): string {
  const amounts = [...axes.map(({ begin }) => begin), ...axes.map(({ end }) => end)];
  return pad(value, amounts, { axes: axes.map((_, i) => first + i), build });
}

/** [C, N, ...]: channels in rows, so that a product's long side is contiguous. */
function channelsFirst(value: string, { axes }: Convolution, build: GraphBuilder): string {
  return build.add('Transpose', [value], { perm: [1, 0, ...axes.map((_, i) => i + 2)] });
}

/** Products [filters, channels, 1] side by side, in the weight's shape. */
function joinTaps(products: readonly string[], shape: readonly number[], build: GraphBuilder): string {
  const joined = products.length === 1 ? (products[0] ?? '') : build.add('Concat', products, { axis: 2 });
  return build.add('Reshape', [joined, build.ints(shape)]);
}
