/**
 * Convolutions: https://onnx.ai/onnx/operators/onnx__Conv.html
 * tfjs computes them with channels last on every backend. Padding is added first, so that windows of any shape are 'valid' ones.
 */
import { intOf, intsOf, unsupported } from '../../../../operators/site.js';
import { ofFirst, optionalAt, tensorAt, type Call, type Kernels } from '../../kernel.js';
import type { DeviceArray, TensorFlow } from '../../value.js';
import { padded } from '../moving/padding.js';
import { cover, windowAxes } from './window-axes.js';

interface Window {
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly group: number;
}

/** [N, C, ...] to [N, ..., C]. */
const channelsLast = (tf: TensorFlow, x: DeviceArray): DeviceArray =>
  tf.transpose(x, [0, ...[...x.shape.keys()].slice(2), 1]);

const channelsFirst = (tf: TensorFlow, x: DeviceArray): DeviceArray =>
  tf.transpose(x, [0, x.shape.length - 1, ...[...x.shape.keys()].slice(1, -1)]);

/** A filter [O, C, ...] as tfjs takes it: [..., C, O]. */
const filterLast = (tf: TensorFlow, w: DeviceArray): DeviceArray =>
  tf.transpose(w, [...[...w.shape.keys()].slice(2), 1, 0]);

function conv(call: Call, x: DeviceArray): DeviceArray {
  const { tf, node } = call;
  const w = tensorAt(call, 1);
  const axes = windowAxes(call, w.shape.slice(2));
  // A window may end before its input does: what is left over is cut off.
  const amounts = axes.map((axis): [number, number] => [axis.begin, cover(axis) - axis.input - axis.begin]);
  const input = padded(tf, channelsLast(tf, x), [[0, 0], ...amounts, [0, 0]]);
  const y = convolved(tf, input, w, {
    strides: axes.map(({ stride }) => stride),
    dilations: axes.map(({ dilation }) => dilation),
    group: intOf(node, 'group', 1),
  });
  const bias = optionalAt(call, 2);
  return channelsFirst(tf, bias === undefined ? y : tf.add(y, bias));
}

/** @param x [N, ..., C], already padded @param w [O, C / group, ...]; the result has channels last */
function convolved(tf: TensorFlow, x: DeviceArray, w: DeviceArray, window: Window): DeviceArray {
  if (x.shape.length === 3) return convolvedLine(tf, x, w, window);
  const { strides, dilations, group } = window;
  // Of dilation every backend has only this, and not in lines or volumes: else zeros stand between the elements of the filter.
  const dilates = dilations.some((by) => by > 1);
  const plain = group === 1 && x.shape.length === 4 && new Set(dilations).size === 1 && strides.every((by) => by === 1);
  if (dilates && !plain) {
    const spread = dilations.reduce((sum, stride, i) => withZeros(tf, sum, { axis: i + 2, stride }), w);
    return convolved(tf, x, spread, { ...window, dilations: dilations.map(() => 1) });
  }
  // Nor has one different steps for one filter a channel: the places in between are left out after.
  if (new Set(strides).size > 1 && group > 1) {
    const dense = convolved(tf, x, w, { ...window, strides: strides.map(() => 1) });
    const begin = dense.shape.map(() => 0);
    return tf.stridedSlice(dense, begin, dense.shape, [1, ...strides, 1]);
  }
  const channels = x.shape.at(-1) ?? 1;
  if (window.group === channels && channels > 1 && x.shape.length === 4) return depthwise(tf, x, w, window);
  if (window.group > 1) return grouped(tf, x, w, window);
  const filter = filterLast(tf, w);
  if (x.shape.length === 5) {
    const [depth = 1, height = 1, width = 1] = strides;
    return tf.conv3d(x as never, filter as never, [depth, height, width], 'valid', 'NDHWC');
  }
  const [s, d] = [strides, dilations].map(([a = 1, b = 1]): [number, number] => [a, b]);
  return tf.conv2d(x as never, filter as never, s ?? 1, 'valid', 'NHWC', d);
}

/** A line is an image one pixel high. */
function convolvedLine(tf: TensorFlow, x: DeviceArray, w: DeviceArray, window: Window): DeviceArray {
  // The stride repeats: steps must be equal for one filter a channel, and one row has no other.
  const [stride = 1, dilation = 1] = [window.strides[0], window.dilations[0]];
  const image = { ...window, strides: [stride, stride], dilations: [dilation, dilation] };
  return tf.squeeze(convolved(tf, tf.expandDims(x, 1), tf.expandDims(w, 2), image), [1]);
}

/** One filter a channel, or several: their order is that of the channels on both sides. */
function depthwise(tf: TensorFlow, x: DeviceArray, w: DeviceArray, { strides, dilations, group }: Window): DeviceArray {
  const [outputs = 1, , height = 1, width = 1] = w.shape;
  const filter = tf.transpose(tf.reshape(w, [group, outputs / group, height, width]), [2, 3, 0, 1]);
  const [s, d] = [strides, dilations].map(([a = 1, b = 1]): [number, number] => [a, b]);
  return tf.depthwiseConv2d(x as never, filter as never, s ?? 1, 'valid', 'NHWC', d);
}

function grouped(tf: TensorFlow, x: DeviceArray, w: DeviceArray, window: Window): DeviceArray {
  const [parts, filters] = [tf.split(x, window.group, x.shape.length - 1), tf.split(w, window.group, 0)];
  return tf.concat(
    parts.map((part, i) => convolved(tf, part, filters[i] ?? w, { ...window, group: 1 })),
    x.shape.length - 1,
  );
}

interface Spread {
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly group: number;
  /** Added or, where negative, cut off at both ends of each spatial axis. */
  readonly ends: readonly (readonly [number, number])[];
}

/** https://onnx.ai/onnx/operators/onnx__ConvTranspose.html */
function convTranspose(call: Call, x: DeviceArray): DeviceArray {
  const { tf, node } = call;
  const w = tensorAt(call, 1);
  const spatial = x.shape.slice(2);
  const of = (name: string): readonly number[] => intsOf(node, name) ?? spatial.map(() => 1);
  const [strides, dilations] = [of('strides'), of('dilations')];
  const spread: Spread = {
    strides,
    dilations,
    group: intOf(node, 'group', 1),
    ends: endsOf(call, { strides, dilations }),
  };
  const input = channelsLast(tf, x);
  const even = spread.group === 1 && spatial.length === 2 && dilations.every((by) => by === 1);
  // The backend wasm has a fast convolution, and a slow gradient of it.
  const direct = even && tf.getBackend() !== 'wasm';
  const y = direct ? transposed(tf, input, w, spread) : zeroInserted(tf, input, w, spread);
  const bias = optionalAt(call, 2);
  return channelsFirst(tf, bias === undefined ? y : tf.add(y, bias));
}

/** What is to be added to the full result, negative where pads cut it. */
function endsOf(call: Call, { strides, dilations }: Pick<Spread, 'strides' | 'dilations'>): [number, number][] {
  const { node } = call;
  const [spatial, kernel] = [tensorAt(call, 0).shape.slice(2), tensorAt(call, 1).shape.slice(2)];
  const [pads, extra, shape] = ['pads', 'output_padding', 'output_shape'].map((name) => intsOf(node, name));
  const mode = node.attributes['auto_pad'];
  const auto = mode?.kind === 'string' ? mode.value : 'NOTSET';
  return spatial.map((size, i) => {
    const [stride = 1, added = 0] = [strides[i], extra?.[i]];
    const full = (size - 1) * stride + (dilations[i] ?? 1) * ((kernel[i] ?? 1) - 1) + 1 + added;
    const target = shape?.[i] ?? (auto.startsWith('SAME') ? size * stride : undefined);
    if (target === undefined) return [-(pads?.[i] ?? 0), added - (pads?.[i + spatial.length] ?? 0)];
    const total = full - target;
    const less = Math.floor(Math.max(0, total) / 2);
    const begin = auto === 'SAME_UPPER' ? less : Math.max(0, total) - less;
    return [-begin, added - (total - begin)];
  });
}

/** The gradient of a convolution by its input, which TensorFlow has a kernel for. */
function transposed(tf: TensorFlow, x: DeviceArray, w: DeviceArray, { strides, ends }: Spread): DeviceArray {
  const [n = 0, height = 0, width = 0] = x.shape;
  const [, outputs = 1, rows = 1, columns = 1] = w.shape;
  const [down = 1, right = 1] = strides;
  const size: [number, number, number, number] = [
    n,
    (height - 1) * down + rows,
    (width - 1) * right + columns,
    outputs,
  ];
  const filter = tf.transpose(w, [2, 3, 1, 0]);
  const y = tf.conv2dTranspose(x as never, filter as never, size, [down, right], 'valid');
  return padded(tf, y, [[0, 0], ...ends, [0, 0]]);
}

/** Zeros between the elements, then a convolution with the filter turned around. */
function zeroInserted(
  tf: TensorFlow,
  x: DeviceArray,
  w: DeviceArray,
  { strides, dilations, group, ends }: Spread,
): DeviceArray {
  const spatial = [...x.shape.keys()].slice(1, -1);
  const wide = spatial.reduce((sum, axis, i) => withZeros(tf, sum, { axis, stride: strides[i] ?? 1 }), x);
  const reach = spatial.map((_, i) => (dilations[i] ?? 1) * ((w.shape[i + 2] ?? 1) - 1));
  const around = ends.map(([begin, end], i): [number, number] => [(reach[i] ?? 0) + begin, (reach[i] ?? 0) + end]);
  const input = padded(tf, wide, [[0, 0], ...around, [0, 0]]);
  const [channels = 1, outputs = 1, ...kernel] = w.shape;
  // [group, C / group, O / group, ...] to [O, C / group, ...]
  const split = tf.reshape(w, [group, channels / group, outputs, -1]);
  const exchanged = tf.reshape(tf.transpose(split, [0, 2, 1, 3]), [group * outputs, channels / group, ...kernel]);
  const turned = tf.reverse(
    exchanged,
    kernel.map((_, i) => i + 2),
  );
  return convolved(tf, input, turned, { strides: strides.map(() => 1), dilations, group });
}

function withZeros(tf: TensorFlow, x: DeviceArray, { axis, stride }: { axis: number; stride: number }): DeviceArray {
  const size = x.shape[axis] ?? 0;
  if (stride === 1 || size === 0) return x;
  const [before, after] = [x.shape.slice(0, axis), x.shape.slice(axis + 1)];
  const apart = tf.reshape(x, [before.reduce((a, b) => a * b, 1), size, 1, after.reduce((a, b) => a * b, 1)]);
  const spread = tf.pad(apart, [
    [0, 0],
    [0, 0],
    [0, stride - 1],
    [0, 0],
  ]);
  const joined = tf.reshape(spread, [...before, size * stride, ...after]);
  return tf.slice(
    joined,
    joined.shape.map(() => 0),
    joined.shape.map((all, i) => (i === axis ? (size - 1) * stride + 1 : all)),
  );
}

const floatOnly = (compute: (call: Call, x: DeviceArray) => DeviceArray) =>
  ofFirst((call, x) => {
    if (x.dtype !== 'float32') throw unsupported(call.node, `convolves ${x.dtype}, which the runtime tfjs does not`);
    return compute(call, x);
  });

export const convKernels: Kernels = {
  Conv: floatOnly(conv),
  ConvTranspose: floatOnly(convTranspose),
};
