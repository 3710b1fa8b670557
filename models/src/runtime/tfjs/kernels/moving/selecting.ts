/** Operators that pick or mark elements: https://onnx.ai/onnx/operators/onnx__Compress.html and others */
import { elementCount } from '@graft/core/tensor';

import { dtypeOf } from '../../../../formats/onnx/data-types.js';
import { axisOf, intOf, intsOf, unsupported } from '../../../../operators/site.js';
import { numbersAt, ofFirst, valueAt, type Call, type Kernels } from '../../kernel.js';
import { Value, heldAs, type DeviceArray } from '../../value.js';
import { padded } from './padding.js';
import { placesFromFront } from './places.js';

/** Ones on a diagonal of a matrix. */
function eyeLike(call: Call): readonly Value[] {
  const { tf, node } = call;
  const { dtype: own, shape } = valueAt(call, 0);
  const [rows = 0, columns = 0] = shape;
  const dtype = node.attributes['dtype'] === undefined ? own : dtypeOf(intOf(node, 'dtype', 1));
  if (dtype === undefined) throw unsupported(node, 'has an element type that is not supported');
  const [down, right] = [
    tf.reshape(tf.range(0, rows, 1, 'int32'), [rows, 1]),
    tf.reshape(tf.range(0, columns, 1, 'int32'), [1, columns]),
  ];
  const ones = tf.equal(tf.add(down, tf.scalar(intOf(node, 'k', 0), 'int32')), right);
  return [Value.onDevice(dtype, tf.cast(ones, heldAs(dtype, `the result of node '${node.name}'`)))];
}

/** The elements along an axis whose mark is true. */
function compress(call: Call, x: DeviceArray): DeviceArray {
  const { tf, node } = call;
  const given = node.attributes['axis'];
  const marks = numbersAt(call, 1) ?? [];
  const places = marks.flatMap((mark, i) => (mark === 0 ? [] : [i]));
  const from = given === undefined ? tf.reshape(x, [-1]) : x;
  const axis = given === undefined ? 0 : axisOf(node, intOf(node, 'axis', 0), x.shape.length);
  if (places.length === 0)
    return tf.zeros(
      from.shape.map((size, i) => (i === axis ? 0 : size)),
      x.dtype,
    );
  return tf.gather(from, tf.tensor1d(places, 'int32'), axis);
}

/** Coordinates of what is not zero, [rank, count]. */
function nonZero(call: Call): readonly Value[] {
  const x = valueAt(call, 0);
  const places = x.numbers().flatMap((number, i) => (number === 0 ? [] : [i]));
  const strides = x.shape.map((_, axis) => x.shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  const rows = strides.map((stride, axis) => places.map((place) => Math.floor(place / stride) % (x.shape[axis] ?? 1)));
  return [Value.ofNumbers(call.tf, { dtype: 'int64', shape: [x.shape.length, places.length] }, rows.flat())];
}

/** The first `lengths[n]` steps of example n in reverse. @param x [time, batch, ...] */
export function reversedSteps({ tf }: Call, x: DeviceArray, lengths: readonly number[]): DeviceArray {
  const [steps = 0, batch = 0] = x.shape;
  const places = Array.from({ length: steps }, (_, step) =>
    Array.from({ length: batch }, (__, row) => {
      const length = lengths[row] ?? steps;
      return [step < length ? length - 1 - step : step, row];
    }),
  );
  return tf.gatherND(x, tf.tensor3d(places, [steps, batch, 2], 'int32'));
}

function reverseSequence(call: Call, x: DeviceArray): DeviceArray {
  const { tf, node } = call;
  const timeFirst = intOf(node, 'time_axis', 0) === 0;
  const perm = [1, 0, ...[...x.shape.keys()].slice(2)];
  const turned = reversedSteps(call, timeFirst ? x : tf.transpose(x, perm), numbersAt(call, 1) ?? []);
  return timeFirst ? turned : tf.transpose(turned, perm);
}

/** Cut or padded around the middle. */
function centerCropPad(call: Call, x: DeviceArray): DeviceArray {
  const { node } = call;
  const rank = x.shape.length;
  const axes = intsOf(node, 'axes')?.map((axis) => axisOf(node, axis, rank)) ?? [...x.shape.keys()];
  const sizes = numbersAt(call, 1) ?? [];
  const amounts = x.shape.map((size, axis): [number, number] => {
    const target = axes.includes(axis) ? (sizes[axes.indexOf(axis)] ?? size) : size;
    const difference = Math.abs(target - size);
    const begin = Math.floor(difference / 2);
    return target < size ? [-begin, begin - difference] : [begin, difference - begin];
  });
  return padded(call.tf, x, amounts);
}

/** Each element back to the place that MaxPool took it from; all else is zero. */
function maxUnpool(call: Call, x: DeviceArray): DeviceArray {
  const { tf, node } = call;
  const spatial = x.shape.length - 2;
  const of = (name: string, otherwise: number): readonly number[] =>
    intsOf(node, name) ?? Array<number>(spatial * 2).fill(otherwise);
  const [kernel, strides, pads] = [of('kernel_shape', 1), of('strides', 1), of('pads', 0)];
  const sizes = x.shape
    .slice(2)
    .map((size, i) => (size - 1) * (strides[i] ?? 1) + (kernel[i] ?? 1) - (pads[i] ?? 0) - (pads[i + spatial] ?? 0));
  const natural = [...x.shape.slice(0, 2), ...sizes];
  const shape = [...(numbersAt(call, 2) ?? natural)];
  const places = tf.reshape(placesFromFront(call, valueAt(call, 1), [elementCount(shape)]), [-1, 1]);
  return tf.reshape(tf.scatterND(places, tf.reshape(x, [-1]), [elementCount(shape)]), shape);
}

export const selectingKernels: Kernels = {
  EyeLike: eyeLike,
  Compress: ofFirst(compress),
  NonZero: nonZero,
  ReverseSequence: ofFirst(reverseSequence),
  CenterCropPad: ofFirst(centerCropPad),
  MaxUnpool: ofFirst(maxUnpool),
  CumProd: ofFirst((call, x) => {
    const { tf, node } = call;
    const axis = axisOf(node, numbersAt(call, 1)?.[0] ?? 0, x.shape.length);
    return tf.cumprod(x, axis, intOf(node, 'exclusive', 0) === 1, intOf(node, 'reverse', 0) === 1);
  }),
};
