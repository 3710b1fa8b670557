/** Normalization: https://onnx.ai/onnx/operators/onnx__BatchNormalization.html, onnx__LayerNormalization.html */
import { axisOf, floatOf, intOf } from '../../../../operators/site.js';
import { ofFirst, optionalAt, result, tensorAt, type Call, type Kernels } from '../../kernel.js';
import { Value, type DeviceArray, type TensorFlow } from '../../value.js';

/** A vector of channels against [N, C, ...]. */
const channels = (tf: TensorFlow, vector: DeviceArray, rank: number): DeviceArray =>
  tf.reshape(vector, [-1, ...Array<number>(Math.max(0, rank - 2)).fill(1)]);

interface Centered {
  readonly mean: DeviceArray;
  readonly inverse: DeviceArray;
  readonly normalized: DeviceArray;
}

/** (x - mean) / sqrt(variance + epsilon) over some axes, which stay with size 1 in the statistics. */
function centered(tf: TensorFlow, x: DeviceArray, { axes, epsilon }: { axes: number[]; epsilon: number }): Centered {
  const mean = tf.mean(x, axes, true);
  const difference = tf.sub(x, mean);
  const variance = tf.mean(tf.mul(difference, difference), axes, true);
  const inverse = tf.div(1, tf.sqrt(tf.add(variance, epsilon)));
  return { mean, inverse, normalized: tf.mul(difference, inverse) };
}

function batchNormalization(call: Call): readonly Value[] {
  const { tf, node } = call;
  const x = tensorAt(call, 0);
  const rank = x.shape.length;
  const [scale, bias, mean, variance] = [1, 2, 3, 4].map((i) => tensorAt(call, i));
  if (scale === undefined || bias === undefined || mean === undefined || variance === undefined) return [];
  const epsilon = floatOf(node, 'epsilon', 1e-5);
  const affine = (normalized: DeviceArray): DeviceArray =>
    tf.add(tf.mul(normalized, channels(tf, scale, rank)), channels(tf, bias, rank));
  if (intOf(node, 'training_mode', 0) === 0) {
    const inverse = tf.div(1, tf.sqrt(tf.add(variance, epsilon)));
    const normalized = tf.mul(tf.sub(x, channels(tf, mean, rank)), channels(tf, inverse, rank));
    return result('float32', affine(normalized));
  }
  const axes = [...x.shape.keys()].filter((axis) => axis !== 1);
  const own = centered(tf, x, { axes, epsilon });
  const difference = tf.sub(x, own.mean);
  const momentum = floatOf(node, 'momentum', 0.9);
  const running = (before: DeviceArray, now: DeviceArray): DeviceArray =>
    tf.add(tf.mul(before, momentum), tf.mul(tf.reshape(now, before.shape), 1 - momentum));
  return [
    ...result('float32', affine(own.normalized)),
    ...result('float32', running(mean, own.mean)),
    ...result('float32', running(variance, tf.mean(tf.mul(difference, difference), axes, true))),
  ];
}

function layerNormalization(call: Call): readonly Value[] {
  const { tf, node } = call;
  const x = tensorAt(call, 0);
  const first = axisOf(node, intOf(node, 'axis', -1), x.shape.length);
  const axes = [...x.shape.keys()].slice(first);
  const { mean, inverse, normalized } = centered(tf, x, { axes, epsilon: floatOf(node, 'epsilon', 1e-5) });
  const scaled = tf.mul(normalized, tensorAt(call, 1));
  const bias = optionalAt(call, 2);
  return [bias === undefined ? scaled : tf.add(scaled, bias), mean, inverse].map((each) =>
    Value.onDevice('float32', each),
  );
}

/** Groups of channels, normalized over their channels and places. */
function groupNormalization(call: Call, groups: number): DeviceArray {
  const { tf, node } = call;
  const x = tensorAt(call, 0);
  const [n = 0, , ...places] = x.shape;
  const rows = tf.reshape(x, [n, groups, -1]);
  const { normalized } = centered(tf, rows, { axes: [2], epsilon: floatOf(node, 'epsilon', 1e-5) });
  const rank = places.length + 2;
  const [scale, bias] = [1, 2].map((i) => channels(tf, tensorAt(call, i), rank));
  const back = tf.reshape(normalized, x.shape);
  return scale === undefined || bias === undefined ? back : tf.add(tf.mul(back, scale), bias);
}

/** y = x / (bias + alpha / size sum x^2)^beta over neighbouring channels. */
function localResponse(call: Call, x: DeviceArray): DeviceArray {
  const { tf, node } = call;
  const size = intOf(node, 'size', 1);
  const before = Math.floor((size - 1) / 2);
  const count = x.shape[1] ?? 0;
  const around = tf.pad(
    tf.mul(x, x),
    x.shape.map((_, axis): [number, number] => (axis === 1 ? [before, size - 1 - before] : [0, 0])),
  );
  const windows = Array.from({ length: size }, (_, i) =>
    tf.slice(
      around,
      x.shape.map((__, axis) => (axis === 1 ? i : 0)),
      x.shape.map((all, axis) => (axis === 1 ? count : all)),
    ),
  );
  const sum = windows.reduce((total, each) => tf.add(total, each));
  const scale = tf.add(floatOf(node, 'bias', 1), tf.mul(floatOf(node, 'alpha', 0.0001) / size, sum));
  return tf.div(x, tf.pow(scale, floatOf(node, 'beta', 0.75)));
}

export const normalizationKernels: Kernels = {
  BatchNormalization: batchNormalization,
  LayerNormalization: layerNormalization,
  GroupNormalization: (call) => result('float32', groupNormalization(call, intOf(call.node, 'num_groups', 1))),
  InstanceNormalization: (call) => result('float32', groupNormalization(call, tensorAt(call, 0).shape[1] ?? 1)),
  MeanVarianceNormalization: ofFirst(({ tf, node }, x) => {
    const attribute = node.attributes['axes'];
    const axes = attribute?.kind === 'ints' ? [...attribute.value] : [0, 2, 3];
    return centered(tf, x, { axes, epsilon: 1e-9 }).normalized;
  }),
  LpNormalization: ofFirst(({ tf, node }, x) => {
    const axis = axisOf(node, intOf(node, 'axis', -1), x.shape.length);
    const length =
      intOf(node, 'p', 2) === 1 ? tf.sum(tf.abs(x), axis, true) : tf.sqrt(tf.sum(tf.mul(x, x), axis, true));
    return tf.divNoNan(x, length);
  }),
  LRN: ofFirst(localResponse),
};
