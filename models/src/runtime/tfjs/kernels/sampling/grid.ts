/** Images at places between pixels: https://onnx.ai/onnx/operators/onnx__GridSample.html, onnx__AffineGrid.html, onnx__Col2Im.html */
import { elementCount } from '@graft/core/tensor';

import { placesOf } from '../../../../operators/resampling/affine-grid.js';
import { intOf, intsOf, stringOf, unsupported } from '../../../../operators/site.js';
import { numbersAt, ofFirst, tensorAt, type Call, type Kernels } from '../../kernel.js';
import type { DeviceArray, TensorFlow } from '../../value.js';
import { product } from '../layers/product.js';

/** A pixel that a place takes a share of, along one axis; both [N, P]. */
interface Share {
  readonly pixel: DeviceArray;
  readonly weight: DeviceArray;
}

interface Sampling {
  readonly call: Call;
  /** Spatial sizes of the image. */
  readonly sizes: readonly number[];
  readonly corners: boolean;
  readonly padding: string;
}

/** Turned back at both ends of [low, high], as often as it takes. */
function reflected(tf: TensorFlow, x: DeviceArray, { low, high }: { low: number; high: number }): DeviceArray {
  const length = high - low;
  if (length <= 0) return tf.zerosLike(x);
  const from = tf.mod(tf.sub(x, low), 2 * length);
  return tf.add(low, tf.minimum(from, tf.sub(2 * length, from)));
}

/** Pixels beyond the end show another one, or nothing. */
function bounded({ call: { tf }, corners, padding }: Sampling, pixel: DeviceArray, size: number): DeviceArray {
  if (padding === 'zeros') return pixel;
  const inside =
    padding === 'reflection'
      ? reflected(tf, pixel, corners ? { low: 0, high: size - 1 } : { low: -0.5, high: size - 0.5 })
      : pixel;
  return tf.clipByValue(inside, 0, size - 1);
}

/** Keys, Cubic Convolution Interpolation for Digital Image Processing (1981), with a = -3/4. */
function cubicShares(tf: TensorFlow, x: DeviceArray): Share[] {
  const floor = tf.floor(x);
  const a = -0.75;
  return [-1, 0, 1, 2].map((offset) => {
    const d = tf.abs(tf.sub(tf.sub(x, floor), offset));
    const near = (): DeviceArray => tf.add(tf.mul(tf.sub(tf.mul(d, a + 2), a + 3), tf.mul(d, d)), 1);
    const far = (): DeviceArray => tf.sub(tf.mul(tf.add(tf.mul(tf.sub(tf.mul(d, a), 5 * a), d), 8 * a), d), 4 * a);
    return { pixel: tf.add(floor, offset), weight: offset === 0 || offset === 1 ? near() : far() };
  });
}

/** What each place along an axis takes. */
function sharesAlong(sampling: Sampling, x: DeviceArray, size: number): Share[] {
  const { call } = sampling;
  const { tf } = call;
  const mode = stringOf(call.node, 'mode', 'linear');
  if (mode === 'cubic' || mode === 'bicubic')
    return cubicShares(tf, x).map(({ pixel, weight }) => ({ pixel: bounded(sampling, pixel, size), weight }));
  const place = bounded(sampling, x, size);
  if (mode === 'nearest') return [{ pixel: tf.round(place), weight: tf.onesLike(place) }];
  if (mode !== 'linear' && mode !== 'bilinear') throw unsupported(call.node, `has mode '${mode}'`);
  const floor = tf.floor(place);
  const after = tf.sub(place, floor);
  return [
    { pixel: floor, weight: tf.sub(1, after) },
    { pixel: tf.add(floor, 1), weight: after },
  ];
}

/** @param x [N, C, ...]; the grid is [N, ..., axes], the last axis of the image first, in [-1, 1] */
function gridSample(call: Call, x: DeviceArray): DeviceArray {
  const { tf, node } = call;
  const grid = tensorAt(call, 1);
  const [batch = 1, channels = 1, ...sizes] = x.shape;
  const corners = intOf(node, 'align_corners', 0) === 1;
  const sampling: Sampling = { call, sizes, corners, padding: stringOf(node, 'padding_mode', 'zeros') };
  const columns = tf.unstack(tf.reshape(grid, [batch, -1, sizes.length]), 2).reverse();
  const along = sizes.map((size, axis) => {
    const scaled = tf.mul(columns[axis] ?? grid, (corners ? size - 1 : size) / 2);
    return sharesAlong(sampling, tf.add(scaled, (size - 1) / 2), size);
  });
  const rows = tf.reshape(tf.transpose(tf.reshape(x, [batch, channels, -1]), [0, 2, 1]), [-1, channels]);
  const taps = along.reduce<Share[][]>(
    (all, shares) => all.flatMap((tap) => shares.map((share) => [...tap, share])),
    [[]],
  );
  const seen = taps.map((tap) => seenBy(sampling, rows, tap));
  const sum = seen.reduce((total, each) => tf.add(total, each));
  const places = grid.shape.slice(1, -1);
  const last = tf.reshape(sum, [batch, elementCount(places), channels]);
  return tf.reshape(tf.transpose(last, [0, 2, 1]), [batch, channels, ...places]);
}

/** The pixel of one tap for every place, [N P, C], weighted; zero outside of the image. */
function seenBy({ call: { tf }, sizes }: Sampling, rows: DeviceArray, tap: readonly Share[]): DeviceArray {
  const [batch = 1, count = 0] = tap[0]?.pixel.shape ?? [];
  const image = elementCount(sizes);
  let index: DeviceArray = tf.mul(tf.reshape(tf.range(0, batch, 1, 'float32'), [batch, 1]), image);
  let weight: DeviceArray = tf.ones([batch, count]);
  for (const [axis, share] of tap.entries()) {
    const size = sizes[axis] ?? 1;
    const clipped = tf.clipByValue(share.pixel, 0, size - 1);
    weight = tf.mul(tf.mul(weight, share.weight), tf.cast(tf.equal(clipped, share.pixel), 'float32'));
    index = tf.add(index, tf.mul(clipped, elementCount(sizes.slice(axis + 1))));
  }
  const pixels = tf.gather(rows, tf.cast(tf.reshape(index, [-1]), 'int32'), 0);
  return tf.mul(pixels, tf.reshape(weight, [-1, 1]));
}

/** Places moved by a matrix [N, axes, axes + 1]. */
function affineGrid(call: Call, theta: DeviceArray): DeviceArray {
  const { tf, node } = call;
  const [batch = 1, axes = 2] = theta.shape;
  const sizes = (numbersAt(call, 1) ?? []).slice(2);
  const places = placesOf(sizes, intOf(node, 'align_corners', 0) === 1);
  const fixed = tf.tensor2d(places, [places.length, axes + 1], 'float32');
  // [N axes, axes + 1] x [axes + 1, places]
  const moved = product(tf, tf.reshape(theta, [batch * axes, axes + 1]), fixed, { b: true });
  return tf.reshape(tf.transpose(tf.reshape(moved, [batch, axes, -1]), [0, 2, 1]), [batch, ...sizes, axes]);
}

/** Every element is added to the pixel that its block and its place in the block name. */
function col2Im(call: Call, x: DeviceArray): DeviceArray {
  const { tf, node } = call;
  const [sizes, block] = [numbersAt(call, 1) ?? [], numbersAt(call, 2) ?? []];
  const rank = sizes.length;
  const of = (name: string, i: number, otherwise: number): number => intsOf(node, name)?.[i] ?? otherwise;
  const [batch = 1, columns = 1] = x.shape;
  const channels = columns / elementCount(block);
  const counts = sizes.map((size, i) => {
    const reach = of('dilations', i, 1) * ((block[i] ?? 1) - 1) + 1;
    return Math.floor((size + of('pads', i, 0) + of('pads', i + rank, 0) - reach) / of('strides', i, 1)) + 1;
  });
  const image = elementCount(sizes);
  const places = coordinatesOf(block).flatMap((tap) =>
    coordinatesOf(counts).map((at) => {
      const pixel = tap.map(
        (offset, i) => (at[i] ?? 0) * of('strides', i, 1) + offset * of('dilations', i, 1) - of('pads', i, 0),
      );
      const inside = pixel.every((place, i) => place >= 0 && place < (sizes[i] ?? 0));
      // What falls into the padding goes to a pixel behind the image, which is cut off.
      return inside ? pixel.reduce((flat, place, i) => flat * (sizes[i] ?? 1) + place, 0) : image;
    }),
  );
  const rows = tf.transpose(tf.reshape(x, [batch * channels, places.length]));
  const sums = tf.scatterND(tf.tensor2d(places, [places.length, 1], 'int32'), rows, [image + 1, batch * channels]);
  const pixels = tf.transpose(tf.slice(sums, [0, 0], [image, batch * channels]));
  return tf.reshape(pixels, [batch, channels, ...sizes]);
}

const coordinatesOf = (shape: readonly number[]): number[][] =>
  shape.reduce<number[][]>(
    (all, size) => all.flatMap((at) => Array.from({ length: size }, (_, i) => [...at, i])),
    [[]],
  );

export const gridKernels: Kernels = {
  GridSample: ofFirst(gridSample),
  AffineGrid: ofFirst(affineGrid),
  Col2Im: ofFirst(col2Im),
};
