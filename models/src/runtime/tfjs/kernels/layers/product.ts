/** The product of two matrices, or of as many pairs, which every other product is made of. */
import type { DeviceArray, TensorFlow } from '../../value.js';

interface Turned {
  /** Whether the last two axes of a side are to be exchanged. */
  readonly a?: boolean;
  readonly b?: boolean;
}

/** [n, rows, inner] x [n, inner, columns], or both without n. */
export function product(tf: TensorFlow, a: DeviceArray, b: DeviceArray, turned: Turned = {}): DeviceArray {
  if (tf.getBackend() === 'wasm' && a.shape.length === 2 && b.shape.length === 2) return onWasm(tf, [a, b], turned);
  const right = tf.getBackend() === 'wasm' ? tf.mul(b, 1) : b;
  return tf.matMul(a, right, turned.a === true, turned.b === true);
}

/**
 * The backend wasm has a fast product for matrices as they lie only, and prepares the right side once: it remembers it by its data alone,
 * and reads wrong memory where the same data come again under another shape. So the right side is a copy, turned or not.
 * https://github.com/tensorflow/tfjs/blob/master/tfjs-backend-wasm/src/cc/xnn_matmul_impl.cc
 */
function onWasm(tf: TensorFlow, [a, b]: readonly [DeviceArray, DeviceArray], turned: Turned): DeviceArray {
  const left = turned.a === true ? tf.transpose(a) : a;
  // A matrix of one row or column is turned without a copy.
  const right = turned.b === true ? tf.transpose(b) : b;
  return tf.matMul(left, tf.mul(right, 1));
}
