/** https://onnx.ai/onnx/operators/onnx__Softmax.html */
import { axisOf, intOf } from '../../../operators/site.js';
import { ofFirst, type Kernels } from '../kernel.js';
import type { DeviceArray, TensorFlow } from '../value.js';

/** x minus its largest along an axis, and the logarithm of the sum of e to that: every softmax is made of the two. */
function shifted(tf: TensorFlow, x: DeviceArray, axis: number): { x: DeviceArray; exp: DeviceArray; sum: DeviceArray } {
  const centered = tf.sub(x, tf.max(x, axis, true));
  const exp = tf.exp(centered);
  return { x: centered, exp, sum: tf.sum(exp, axis, true) };
}

export function softmax(tf: TensorFlow, x: DeviceArray, axis: number): DeviceArray {
  const { exp, sum } = shifted(tf, x, axis);
  return tf.div(exp, sum);
}

export function logSoftmax(tf: TensorFlow, x: DeviceArray, axis: number): DeviceArray {
  const { x: centered, sum } = shifted(tf, x, axis);
  return tf.sub(centered, tf.log(sum));
}

export const softmaxKernels: Kernels = {
  Softmax: ofFirst(({ tf, node }, x) => softmax(tf, x, axisOf(node, intOf(node, 'axis', -1), x.shape.length))),
  LogSoftmax: ofFirst(({ tf, node }, x) => logSoftmax(tf, x, axisOf(node, intOf(node, 'axis', -1), x.shape.length))),
  /** 1 at the first of the largest, else 0. */
  Hardmax: ofFirst(({ tf, node }, x) => {
    const axis = axisOf(node, intOf(node, 'axis', -1), x.shape.length);
    const size = x.shape[axis] ?? 1;
    const places = tf.reshape(
      tf.range(0, size, 1, 'int32'),
      x.shape.map((_, i) => (i === axis ? size : 1)),
    );
    return tf.cast(tf.equal(places, tf.expandDims(tf.argMax(x, axis), axis)), 'float32');
  }),
};
