/** https://onnx.ai/onnx/operators/onnx__Softmax.html */
import { axisOf, intOf } from '../../../operators/site.js';
import { ofFirst, type Kernels } from '../kernel.js';
import type { DeviceArray, TensorFlow } from '../value.js';

/** [before, along, after]: more axes cost more than they say. */
function overAxis(
  tf: TensorFlow,
  x: DeviceArray,
  { axis, compute }: { axis: number; compute: (x: DeviceArray) => DeviceArray },
): DeviceArray {
  const size = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);
  const flat = [size(x.shape.slice(0, axis)), x.shape[axis] ?? 1, size(x.shape.slice(axis + 1))];
  return tf.reshape(compute(tf.reshape(x, flat)), x.shape);
}

export function softmax(tf: TensorFlow, x: DeviceArray, axis: number): DeviceArray {
  const compute = (rows: DeviceArray): DeviceArray => {
    const exp = tf.exp(tf.sub(rows, tf.max(rows, 1, true)));
    return tf.div(exp, tf.sum(exp, 1, true));
  };
  return overAxis(tf, x, { axis, compute });
}

export function logSoftmax(tf: TensorFlow, x: DeviceArray, axis: number): DeviceArray {
  const compute = (rows: DeviceArray): DeviceArray => {
    const centered = tf.sub(rows, tf.max(rows, 1, true));
    return tf.sub(centered, tf.log(tf.sum(tf.exp(centered), 1, true)));
  };
  return overAxis(tf, x, { axis, compute });
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
