/** https://onnx.ai/onnx/operators/onnx__Einsum.html, two operands at a time: a product of matrices over what both share. */
import { elementCount } from '@graft/core/tensor';

import { equationOf } from '../../../../operators/products/einsum-equation.js';
import { tensorAt, ofFirst, type Call, type Kernels } from '../../kernel.js';
import type { DeviceArray, TensorFlow } from '../../value.js';
import { product } from './product.js';

/** A tensor and the labels of its axes, each once. */
interface Labelled {
  readonly x: DeviceArray;
  readonly labels: readonly string[];
}

const sizeOf = ({ x, labels }: Labelled, label: string): number => x.shape[labels.indexOf(label)] ?? 1;

/** A label twice means the diagonal: all else is zeroed, and one of the two axes summed. */
function withoutRepeats(tf: TensorFlow, { x, labels }: Labelled): Labelled {
  const second = labels.findIndex((label, i) => labels.indexOf(label) < i);
  if (second < 0) return { x, labels };
  const first = labels.indexOf(labels[second] ?? '');
  const size = x.shape[second] ?? 1;
  const places = (axis: number): DeviceArray =>
    tf.reshape(
      tf.range(0, size, 1, 'int32'),
      labels.map((_, i) => (i === axis ? size : 1)),
    );
  const diagonal = tf.cast(tf.equal(places(first), places(second)), 'float32');
  return withoutRepeats(tf, { x: tf.sum(tf.mul(x, diagonal), second), labels: labels.toSpliced(second, 1) });
}

function summed(tf: TensorFlow, { x, labels }: Labelled, keep: ReadonlySet<string>): Labelled {
  const axes = labels.flatMap((label, axis) => (keep.has(label) ? [] : [axis]));
  if (axes.length === 0) return { x, labels };
  return { x: tf.sum(x, axes), labels: labels.filter((label) => keep.has(label)) };
}

function ordered(tf: TensorFlow, { x, labels }: Labelled, order: readonly string[]): DeviceArray {
  const perm = order.map((label) => labels.indexOf(label));
  return perm.every((axis, i) => axis === i) ? x : tf.transpose(x, perm);
}

/** Axes of size 1 under a shared label are repeated to the size of the other side. */
function repeated(tf: TensorFlow, one: Labelled, other: Labelled): Labelled {
  const repeats = one.labels.map((label) =>
    other.labels.includes(label) && sizeOf(one, label) === 1 ? sizeOf(other, label) : 1,
  );
  return repeats.every((count) => count === 1) ? one : { x: tf.tile(one.x, repeats), labels: one.labels };
}

function contracted(tf: TensorFlow, pair: readonly [Labelled, Labelled], keep: ReadonlySet<string>): Labelled {
  const [left, right] = pair;
  const a = repeated(tf, summed(tf, left, new Set([...keep, ...right.labels])), right);
  const b = repeated(tf, summed(tf, right, new Set([...keep, ...left.labels])), left);
  const shared = a.labels.filter((label) => b.labels.includes(label));
  const [batch, inner] = [shared.filter((label) => keep.has(label)), shared.filter((label) => !keep.has(label))];
  const [rows, columns] = [a, b].map(({ labels }) => labels.filter((label) => !shared.includes(label)));
  if (rows === undefined || columns === undefined) return a;
  const sizes = (one: Labelled, labels: readonly string[]): number[] => labels.map((label) => sizeOf(one, label));
  const [n, i] = [elementCount(sizes(a, batch)), elementCount(sizes(a, inner))];
  const matrices = product(
    tf,
    tf.reshape(ordered(tf, a, [...batch, ...rows, ...inner]), [n, elementCount(sizes(a, rows)), i]),
    tf.reshape(ordered(tf, b, [...batch, ...inner, ...columns]), [n, i, elementCount(sizes(b, columns))]),
  );
  const shape = [...sizes(a, batch), ...sizes(a, rows), ...sizes(b, columns)];
  return { x: tf.reshape(matrices, shape), labels: [...batch, ...rows, ...columns] };
}

function einsum(call: Call): DeviceArray {
  const { tf, node, inputs } = call;
  const site = { node, inputs: inputs.map((value) => value && { dtype: value.dtype, shape: value.shape }) };
  const { operands, result } = equationOf(site);
  const given = operands.map((labels, i) => withoutRepeats(tf, { x: tensorAt(call, i), labels }));
  const [first, ...rest] = given;
  if (first === undefined) return tf.scalar(0);
  const all = rest.reduce((sum, each, i) => {
    const later = rest.slice(i + 1).flatMap(({ labels }) => labels);
    return contracted(tf, [sum, each], new Set([...result, ...later]));
  }, first);
  return ordered(tf, summed(tf, all, new Set(result)), result);
}

export const einsumKernels: Kernels = { Einsum: ofFirst(einsum) };
