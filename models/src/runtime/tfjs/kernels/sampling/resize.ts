/** https://onnx.ai/onnx/operators/onnx__Resize.html, along one axis after the other, by the shares that each output place takes. */
import { elementCount } from '@graft/core/tensor';

import {
  interpolationMatrix,
  repetitionsOf,
  type Interpolation,
  type ResizedAxis,
} from '../../../../operators/resampling/interpolation.js';
import { changedAxes, interpolationOf } from '../../../../operators/resampling/resize.js';
import { floatOf, intOf, unsupported } from '../../../../operators/site.js';
import { ofFirst, type Call, type Kernels } from '../../kernel.js';
import type { DeviceArray, TensorFlow } from '../../value.js';
import { product } from '../layers/product.js';

interface Along {
  readonly axis: ResizedAxis;
  readonly matrix: Float64Array;
}

/** The place whose share is 1, for each output place. */
const nearestPlaces = ({ axis: { input, output }, matrix }: Along): number[] =>
  Array.from({ length: output }, (_, row) => Math.max(0, matrix.subarray(row * input, (row + 1) * input).indexOf(1)));

/** Where an output place takes nothing. */
const isOutside = ({ axis: { input }, matrix }: Along, row: number): boolean =>
  matrix.subarray(row * input, (row + 1) * input).every((share) => share === 0);

function interpolated(tf: TensorFlow, x: DeviceArray, { axis, matrix }: Along): DeviceArray {
  const { input, output } = axis;
  const last = x.shape.length - 1;
  const swap = [...x.shape.keys()].map((each) => (each === axis.axis ? last : each === last ? axis.axis : each));
  const rows = axis.axis === last ? x : tf.transpose(x, swap);
  const flat = tf.reshape(rows, [-1, input]);
  const shares = tf.tensor2d(Float32Array.from(matrix), [output, input], 'float32');
  const y = tf.reshape(product(tf, flat, shares, { b: true }), [...rows.shape.slice(0, -1), output]);
  return axis.axis === last ? y : tf.transpose(y, swap);
}

/** What lies outside of a crop is a constant. */
function withOutside(
  tf: TensorFlow,
  y: DeviceArray,
  { along, value }: { along: readonly Along[]; value: number },
): DeviceArray {
  const inside = along.map((each) => {
    const marks = Array.from({ length: each.axis.output }, (_, row) => (isOutside(each, row) ? 0 : 1));
    const shape = y.shape.map((_, i) => (i === each.axis.axis ? each.axis.output : 1));
    return tf.tensor(marks, shape, 'float32');
  });
  const all = inside.reduce<DeviceArray>((product, each) => tf.mul(product, each), tf.scalar(1));
  return tf.add(tf.mul(y, all), tf.mul(value, tf.sub(1, all)));
}

/** Each element so often in a row: a gather along inner axes is slow. */
function repeated(tf: TensorFlow, x: DeviceArray, { axis, count }: { axis: number; count: number }): DeviceArray {
  const [before, after] = [x.shape.slice(0, axis), x.shape.slice(axis + 1)];
  const size = x.shape[axis] ?? 1;
  const apart = tf.reshape(x, [elementCount(before) * size, 1, elementCount(after)]);
  // A product repeats far faster than one backend's tile does.
  const repeats = x.dtype === 'float32' ? tf.mul(apart, tf.ones([1, count, 1])) : tf.tile(apart, [1, count, 1]);
  return tf.reshape(repeats, [...before, size * count, ...after]);
}

function resize(call: Call, x: DeviceArray): DeviceArray {
  const { tf, node, inputs } = call;
  if (intOf(node, 'antialias', 0) === 1)
    throw unsupported(node, 'smooths what it makes smaller, which the runtime tfjs does not');
  const [image, ...rest] = inputs;
  const known = rest.map((value) => value && { dtype: value.dtype, shape: value.shape, elements: value.numbers() });
  const site = { node, inputs: [image && { dtype: image.dtype, shape: image.shape }, ...known] };
  const how: Interpolation = interpolationOf(site);
  const along = changedAxes(site, how).map((axis) => ({ axis, matrix: interpolationMatrix(axis, how) }));
  const y = along.reduce((sum, each) => {
    if (how.mode !== 'nearest') return interpolated(tf, sum, each);
    const count = repetitionsOf(each.axis, each.matrix);
    if (count !== undefined) return repeated(tf, sum, { axis: each.axis.axis, count });
    return tf.gather(sum, tf.tensor1d(nearestPlaces(each), 'int32'), each.axis.axis);
  }, x);
  if (how.coordinates !== 'tf_crop_and_resize') return y;
  return withOutside(tf, y, { along, value: floatOf(node, 'extrapolation_value', 0) });
}

export const resizeKernels: Kernels = { Resize: ofFirst(resize) };
