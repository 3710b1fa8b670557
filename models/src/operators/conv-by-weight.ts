/**
 * The gradient of a convolution by its weight: a sum over examples and positions, one matrix product a tap of the kernel.
 * A convolution with exchanged axes, the textbook form, is two to five times slower on CPUs.
 */
import type { GraphBuilder } from './graph-builder.js';
import { isDepthwise, isPointwise, type ConvSite } from './conv-site.js';
import { pad, slice } from './indexing.js';

/** From this many positions on, a product for each example is fastest; below, one over all examples. */
const positionsForBatch = 64;

export function convByWeight(conv: ConvSite, build: GraphBuilder): string {
  const { axes, filters, channels, group } = conv;
  const shape = [filters, channels / group, ...axes.map(({ kernel }) => kernel)];
  if (isPointwise(conv)) {
    const product = conv.positions >= positionsForBatch ? byExample(conv, build) : byPixel(conv, build);
    return build.add('Reshape', [product, build.ints(shape)]);
  }
  const taps = tapsOf(conv, build);
  const joined = taps.length === 1 ? taps : [build.add('Concat', taps, { axis: 2 })];
  return build.add('Reshape', [joined[0] ?? '', build.ints(shape)]);
}

/** The sum of dy [O, L] x^T [L, C] over the examples. */
function byExample({ x, dy, channels, filters, positions }: ConvSite, build: GraphBuilder): string {
  const rows = (value: string, count: number): string =>
    build.add('Reshape', [value, build.ints([-1, count, positions])]);
  const turned = build.add('Transpose', [rows(x, channels)], { perm: [0, 2, 1] });
  const products = build.add('MatMul', [rows(dy, filters), turned]);
  return build.add('ReduceSum', [products, build.ints([0])], { keepdims: 0 });
}

/** One product over all pixels of all examples. */
function byPixel({ x, dy, channels, filters, positions }: ConvSite, build: GraphBuilder): string {
  const pixels = (value: string, count: number): string => {
    const last = positions === 1 ? value : build.add('Transpose', [value], { perm: [0, 2, 3, 1] });
    return build.add('Reshape', [last, build.ints([-1, count])]);
  };
  return build.add('Gemm', [pixels(dy, filters), pixels(x, channels)], { transA: 1 });
}

/** For each tap of the kernel, [filters, channels / group, 1]. */
function tapsOf(conv: ConvSite, build: GraphBuilder): string[] {
  const { x, dy, axes, channels, filters, group } = conv;
  const channelsLast = (value: string): string => build.add('Transpose', [value], { perm: [0, 2, 3, 1] });
  const [height, width] = axes;
  const padded = pad(channelsLast(x), [height.begin, width.begin, height.end, width.end], { axes: [1, 2], build });
  const gradient = channelsLast(dy);
  const rows = (value: string, count: number): string => build.add('Reshape', [value, build.ints([-1, count])]);
  const groups = (value: string, count: number): string =>
    build.add('Reshape', [value, build.ints([-1, group, count / group])]);
  const product = tapProduct(conv, build, {
    gradient,
    dyRows: group === 1 ? rows(gradient, filters) : '',
    dyGroups:
      group === 1 || isDepthwise(conv) ? '' : build.add('Transpose', [groups(gradient, filters)], { perm: [1, 2, 0] }),
    rows: (value) => rows(value, channels),
    groups: (value) => build.add('Transpose', [groups(value, channels)], { perm: [1, 0, 2] }),
  });
  const cover = ({ stride, output }: { stride: number; output: number }): number => (output - 1) * stride + 1;
  return [...Array(height.kernel).keys()].flatMap((i) =>
    [...Array(width.kernel).keys()].map((j) => {
      const [top, left] = [i * height.dilation, j * width.dilation];
      const seen = slice(
        padded,
        [
          { axis: 1, start: top, end: top + cover(height), step: height.stride },
          { axis: 2, start: left, end: left + cover(width), step: width.stride },
        ],
        build,
      );
      return build.add('Reshape', [product(seen), build.ints([filters, channels / group, 1])]);
    }),
  );
}

interface TapForms {
  readonly gradient: string;
  readonly dyRows: string;
  readonly dyGroups: string;
  readonly rows: (value: string) => string;
  readonly groups: (value: string) => string;
}

/** The product of what a tap sees with the gradient. */
function tapProduct(conv: ConvSite, build: GraphBuilder, forms: TapForms): (seen: string) => string {
  if (conv.group === 1) return (seen) => build.add('Gemm', [forms.dyRows, forms.rows(seen)], { transA: 1 });
  if (isDepthwise(conv)) {
    return (seen) => {
      const products = forms.rows(build.add('Mul', [forms.gradient, seen]));
      return build.add('ReduceSum', [products, build.ints([0])], { keepdims: 0 });
    };
  }
  return (seen) => build.add('MatMul', [forms.dyGroups, forms.groups(seen)]);
}
