/** Sums, means and extremes along axes: https://onnx.ai/onnx/operators/onnx__ReduceSum.html */
import { axisOf, intOf } from '../../../operators/site.js';
import {
  assertComputed,
  numbersAt,
  ofFirst,
  result,
  tensorAt,
  type Call,
  type Kernel,
  type Kernels,
} from '../kernel.js';
import type { DeviceArray, TensorFlow } from '../value.js';

type Reduce = (tf: TensorFlow, x: DeviceArray, how: { axes: number[]; keep: boolean }) => DeviceArray;

/** A reduction, and what it makes of no elements at all, which one backend does not compute. */

const reduction = (reduce: Reduce, ofNone = 0): Kernel =>
  ofFirst((call, x) => {
    assertComputed(call);
    const { tf, node } = call;
    const rank = x.shape.length;
    const given = (numbersAt(call, 1) ?? []).map((axis) => axisOf(node, axis, rank));
    if (given.length === 0 && intOf(node, 'noop_with_empty_axes', 0) === 1) return x;
    const axes = given.length > 0 ? given : [...Array(rank).keys()];
    const keep = intOf(node, 'keepdims', 1) === 1;
    if (x.size > 0) return reduce(tf, x, { axes, keep });
    const shape = x.shape.flatMap((size, axis) => (!axes.includes(axis) ? [size] : keep ? [1] : []));
    return tf.fill(shape, ofNone, x.dtype);
  });

const sum: Reduce = (tf, x, { axes, keep }) => tf.sum(x, axes, keep);

/** log sum e^x with the largest taken out first. */
const logSumExp: Reduce = (tf, x, { axes, keep }) => {
  const largest = tf.max(x, axes, true);
  // Where all are -infinity the largest must not make it a number that is none.
  const shift = tf.where(tf.isFinite(largest), largest, tf.zerosLike(largest));
  const total = tf.log(tf.sum(tf.exp(tf.sub(x, shift)), axes, keep));
  return tf.add(total, keep ? shift : tf.reshape(shift, total.shape));
};

const extremePlace =
  (find: (tf: TensorFlow, x: DeviceArray, axis: number) => DeviceArray): Kernel =>
  (call: Call) => {
    const { tf, node } = call;
    const x = tensorAt(call, 0);
    const axis = axisOf(node, intOf(node, 'axis', 0), x.shape.length);
    const last = intOf(node, 'select_last_index', 0) === 1;
    const first = find(tf, last ? tf.reverse(x, axis) : x, axis);
    const place = last ? tf.sub(tf.scalar((x.shape[axis] ?? 1) - 1, 'int32'), first) : first;
    return result('int64', intOf(node, 'keepdims', 1) === 1 ? tf.expandDims(place, axis) : place);
  };

export const reductionKernels: Kernels = {
  ReduceSum: reduction(sum),
  ReduceMean: reduction((tf, x, { axes, keep }) => tf.mean(x, axes, keep), NaN),
  ReduceMax: reduction((tf, x, { axes, keep }) => tf.max(x, axes, keep), -Infinity),
  ReduceMin: reduction((tf, x, { axes, keep }) => tf.min(x, axes, keep), Infinity),
  ReduceProd: reduction((tf, x, { axes, keep }) => tf.prod(x, axes, keep), 1),
  ReduceL1: reduction((tf, x, how) => sum(tf, tf.abs(x), how)),
  ReduceL2: reduction((tf, x, how) => tf.sqrt(sum(tf, tf.mul(x, x), how))),
  ReduceSumSquare: reduction((tf, x, how) => sum(tf, tf.mul(x, x), how)),
  ReduceLogSum: reduction((tf, x, how) => tf.log(sum(tf, x, how)), -Infinity),
  ReduceLogSumExp: reduction(logSumExp, -Infinity),
  ArgMax: extremePlace((tf, x, axis) => tf.argMax(x, axis)),
  ArgMin: extremePlace((tf, x, axis) => tf.argMin(x, axis)),
};
