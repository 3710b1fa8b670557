/** Matrix products: https://onnx.ai/onnx/operators/onnx__MatMul.html */
import { floatOf, intOf } from '../../../../operators/site.js';
import { ofFirst, optionalAt, tensorAt, type Kernels } from '../../kernel.js';
import type { DeviceArray, TensorFlow } from '../../value.js';

/** As NumPy's matmul: a vector is a row on the left and a column on the right, and its axis is taken out again. */
export function matmul(tf: TensorFlow, a: DeviceArray, b: DeviceArray): DeviceArray {
  const left = a.shape.length === 1 ? tf.expandDims(a, 0) : a;
  const right = b.shape.length === 1 ? tf.expandDims(b, 1) : b;
  const product = batched(tf, left, right);
  const rank = product.shape.length;
  const shape = product.shape.filter(
    (_, axis) => !(axis === rank - 2 && a.shape.length === 1) && !(axis === rank - 1 && b.shape.length === 1),
  );
  return shape.length === rank ? product : tf.reshape(product, shape);
}

/** One matrix on the right is one product over all rows. */
function batched(tf: TensorFlow, a: DeviceArray, b: DeviceArray): DeviceArray {
  const inner = a.shape.at(-1) ?? 1;
  if (a.shape.length > 2 && b.shape.length === 2)
    return tf.reshape(tf.matMul(tf.reshape(a, [-1, inner]), b), [...a.shape.slice(0, -1), b.shape[1] ?? 1]);
  if (a.shape.length === 2 && b.shape.length > 2)
    return tf.matMul(tf.reshape(a, [...b.shape.slice(0, -2).map(() => 1), ...a.shape]), b);
  return tf.matMul(a, b);
}

export const matmulKernels: Kernels = {
  MatMul: ofFirst((call, a) => matmul(call.tf, a, tensorAt(call, 1))),
  Gemm: ofFirst((call, a) => {
    const { tf, node } = call;
    const product = tf.matMul(a, tensorAt(call, 1), intOf(node, 'transA', 0) === 1, intOf(node, 'transB', 0) === 1);
    const alpha = floatOf(node, 'alpha', 1);
    const scaled = alpha === 1 ? product : tf.mul(product, alpha);
    const bias = optionalAt(call, 2);
    if (bias === undefined) return scaled;
    const beta = floatOf(node, 'beta', 1);
    return tf.add(scaled, beta === 1 ? bias : tf.mul(bias, beta));
  }),
};
