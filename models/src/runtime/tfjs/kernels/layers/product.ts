/** The product of two matrices, or of as many pairs, which every other product is made of. */
import type { DeviceArray, TensorFlow } from '../../value.js';

/**
 * [n, rows, inner] x [n, inner, columns], or both without n.
 * The backend wasm prepares a right side once and remembers it by its data alone: under another shape it then reads wrong memory.
 * So it gets a copy. https://github.com/tensorflow/tfjs/blob/master/tfjs-backend-wasm/src/cc/xnn_matmul_impl.cc
 */
export function product(
  tf: TensorFlow,
  a: DeviceArray,
  b: DeviceArray,
  turned: { readonly a?: boolean; readonly b?: boolean } = {},
): DeviceArray {
  const right = tf.getBackend() === 'wasm' ? tf.mul(b, 1) : b;
  return tf.matMul(a, right, turned.a === true, turned.b === true);
}
