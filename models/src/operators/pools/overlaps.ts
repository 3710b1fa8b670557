/** The inverse of a sliding sum: every element gets the values of all windows that covered it. */
import { reshapeTo } from '../broadcast.js';
import { floats, type Attributes, type GraphBuilder } from '../graph-builder.js';
import { leftOver, type FixedAxis } from '../window.js';
import { isTiled, spread } from './tiles.js';

/** `value` [N, C, windows] summed into the shape of `like`, [N, C, inputs]. */
export function spreadOverWindows(
  value: string,
  like: string,
  { axes, build }: { axes: readonly FixedAxis[]; build: GraphBuilder },
): string {
  if (isTiled(axes)) return spread(value, axes, build);
  const kernel = axes.map((axis) => axis.kernel);
  const taps = kernel.reduce((product, size) => product * size, 1);
  const ones = build.constant(floats(build.typeOf(value).dtype, [1, 1, ...kernel], Array<number>(taps).fill(1)));
  const attributes: Attributes = {
    kernel_shape: kernel,
    strides: axes.map(({ stride }) => stride),
    dilations: axes.map(({ dilation }) => dilation),
    // A window that reached past the padding (ceil_mode) is cut off like padding.
    pads: [...axes.map(({ begin }) => begin), ...axes.map((axis) => axis.end + Math.max(0, -leftOver(axis)))],
    output_padding: axes.map((axis) => Math.max(0, leftOver(axis))),
  };
  // Every channel is an image of its own: a transposed convolution of many groups is slow.
  const images = build.add('Reshape', [value, build.ints([-1, 1, ...axes.map(({ output }) => output)])]);
  return reshapeTo(build.add('ConvTranspose', [images, ones], attributes), build.shapeOf(like), { like, build });
}
