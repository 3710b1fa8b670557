/** Operators that count, accumulate and rank along an axis: https://onnx.ai/onnx/operators/onnx__CumSum.html */
import { axisOf, intOf } from '../../../../operators/site.js';
import { numbersAt, ofFirst, result, tensorAt, valueAt, type Kernels } from '../../kernel.js';
import { Value, type DeviceArray } from '../../value.js';

export const orderingKernels: Kernels = {
  Range: (call) => {
    const [start = 0, limit = 0, delta = 1] = [0, 1, 2].map((i) => numbersAt(call, i)?.[0]);
    const { dtype } = valueAt(call, 0);
    const length = Math.max(0, Math.ceil((limit - start) / delta));
    const numbers = Array.from({ length }, (_, i) => start + i * delta);
    if (dtype === 'float32') return result(dtype, call.tf.tensor1d(numbers, 'float32'));
    return [Value.ofNumbers(call.tf, { dtype, shape: [length] }, numbers)];
  },
  CumSum: ofFirst((call, x) => {
    const { tf, node } = call;
    const axis = axisOf(node, numbersAt(call, 1)?.[0] ?? 0, x.shape.length);
    return tf.cumsum(x, axis, intOf(node, 'exclusive', 0) === 1, intOf(node, 'reverse', 0) === 1);
  }),
  Trilu: ofFirst((call, x) => {
    const { tf, node } = call;
    const [rows = 0, columns = 0] = x.shape.slice(-2);
    const shift = numbersAt(call, 1)?.[0] ?? 0;
    const upper = intOf(node, 'upper', 1) === 1;
    const places = tf.sub(
      tf.reshape(tf.range(0, columns, 1, 'int32'), [1, columns]),
      tf.reshape(tf.range(0, rows, 1, 'int32'), [rows, 1]),
    );
    const kept = upper
      ? tf.greaterEqual(places, tf.scalar(shift, 'int32'))
      : tf.lessEqual(places, tf.scalar(shift, 'int32'));
    return tf.mul(x, tf.cast(kept, x.dtype === 'bool' ? 'int32' : x.dtype));
  }),
  TopK: (call) => {
    const { tf, node } = call;
    const { dtype, shape } = valueAt(call, 0);
    const axis = axisOf(node, intOf(node, 'axis', -1), shape.length);
    const last = shape.length - 1;
    const swap = [...shape.keys()].map((each) => (each === axis ? last : each === last ? axis : each));
    const smallest = intOf(node, 'largest', 1) === 0;
    const rows = axis === last ? tensorAt(call, 0) : tf.transpose(tensorAt(call, 0), swap);
    const { values, indices } = tf.topk(smallest ? tf.neg(rows) : rows, numbersAt(call, 1)?.[0] ?? 1, true);
    const back = (x: DeviceArray): DeviceArray => (axis === last ? x : tf.transpose(x, swap));
    return [Value.onDevice(dtype, back(smallest ? tf.neg(values) : values)), Value.onDevice('int64', back(indices))];
  },
};
