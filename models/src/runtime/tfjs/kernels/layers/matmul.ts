/** Matrix products: https://onnx.ai/onnx/operators/onnx__MatMul.html */
import { elementCount } from '@graft/core/tensor';

import { floatOf, intOf } from '../../../../operators/site.js';
import { ofFirst, optionalAt, tensorAt, type Kernels } from '../../kernel.js';
import type { DeviceArray, TensorFlow } from '../../value.js';
import { product } from './product.js';

/** As NumPy's matmul: a vector is a row on the left and a column on the right, and its axis is taken out again. */
export function matmul(tf: TensorFlow, a: DeviceArray, b: DeviceArray): DeviceArray {
  const left = a.shape.length === 1 ? tf.expandDims(a, 0) : a;
  const right = b.shape.length === 1 ? tf.expandDims(b, 1) : b;
  const all = batched(tf, left, right);
  const rank = all.shape.length;
  const shape = all.shape.filter(
    (_, axis) => !(axis === rank - 2 && a.shape.length === 1) && !(axis === rank - 1 && b.shape.length === 1),
  );
  return shape.length === rank ? all : tf.reshape(all, shape);
}

/** One matrix on the right is one product over all rows. */
function batched(tf: TensorFlow, a: DeviceArray, b: DeviceArray): DeviceArray {
  const [rows = 1, inner = 1] = a.shape.slice(-2);
  const columns = b.shape.at(-1) ?? 1;
  if (a.shape.length === 2 && b.shape.length === 2) return product(tf, a, b);
  if (b.shape.length === 2)
    return tf.reshape(product(tf, tf.reshape(a, [-1, inner]), b), [...a.shape.slice(0, -1), columns]);
  const batch = broadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const [left, right] = [threeAxes(tf, a, batch), threeAxes(tf, b, batch)];
  return tf.reshape(product(tf, left, right), [...batch, rows, columns]);
}

function broadcastShape(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const [left = 1, right = 1] = [a[axis - rank + a.length], b[axis - rank + b.length]];
    return left === 1 ? right : left;
  });
}

/** [batch, rows, columns]; a batch of one stays one. One backend repeats matrices wrongly where both sides do in part. */
function threeAxes(tf: TensorFlow, x: DeviceArray, batch: readonly number[]): DeviceArray {
  const [own, matrix] = [x.shape.slice(0, -2), x.shape.slice(-2)];
  if (elementCount(own) === 1) return tf.reshape(x, [1, ...matrix]);
  const aligned = [...batch.slice(0, batch.length - own.length).map(() => 1), ...own];
  if (aligned.every((size, axis) => size === batch[axis])) return tf.reshape(x, [-1, ...matrix]);
  const repeats = aligned.map((size, axis) => (size === 1 ? (batch[axis] ?? 1) : 1));
  return tf.reshape(tf.tile(tf.reshape(x, [...aligned, ...matrix]), [...repeats, 1, 1]), [-1, ...matrix]);
}

export const matmulKernels: Kernels = {
  MatMul: ofFirst((call, a) => matmul(call.tf, a, tensorAt(call, 1))),
  Gemm: ofFirst((call, a) => {
    const { tf, node } = call;
    const turned = { a: intOf(node, 'transA', 0) === 1, b: intOf(node, 'transB', 0) === 1 };
    const plain = product(tf, a, tensorAt(call, 1), turned);
    const alpha = floatOf(node, 'alpha', 1);
    const scaled = alpha === 1 ? plain : tf.mul(plain, alpha);
    const bias = optionalAt(call, 2);
    if (bias === undefined) return scaled;
    const beta = floatOf(node, 'beta', 1);
    return tf.add(scaled, beta === 1 ? bias : tf.mul(bias, beta));
  }),
};
