/** Activation functions: https://onnx.ai/onnx/operators/ */
import type { Node } from '../../../../graph/graph.js';
import { floatOf, stringOf, unsupported } from '../../../../operators/site.js';
import {
  assertComputed,
  numbersAt,
  ofFirst,
  optionalAt,
  tensorAt,
  valueAt,
  type Kernel,
  type Kernels,
} from '../../kernel.js';
import { Value, type DeviceArray, type TensorFlow } from '../../value.js';

const activation = (compute: (tf: TensorFlow, x: DeviceArray, node: Node) => DeviceArray): Kernel =>
  ofFirst((call, x) => {
    assertComputed(call);
    return compute(call.tf, x, call.node);
  });

const hardSigmoid = (tf: TensorFlow, x: DeviceArray, { alpha, beta }: { alpha: number; beta: number }): DeviceArray =>
  tf.clipByValue(tf.add(tf.mul(x, alpha), beta), 0, 1);

/** log(1 + e^x) = max(x, 0) + log1p(e^-|x|), which does not overflow. */
const softplus = (tf: TensorFlow, x: DeviceArray): DeviceArray =>
  tf.add(tf.relu(x), tf.log1p(tf.exp(tf.neg(tf.abs(x)))));

function gelu(tf: TensorFlow, x: DeviceArray, node: Node): DeviceArray {
  const half = tf.mul(x, 0.5);
  if (stringOf(node, 'approximate', 'none') === 'none') return tf.mul(half, tf.add(1, tf.erf(tf.mul(x, Math.SQRT1_2))));
  const inner = tf.mul(Math.sqrt(2 / Math.PI), tf.add(x, tf.mul(0.044715, tf.mul(x, tf.mul(x, x)))));
  return tf.mul(half, tf.add(1, tf.tanh(inner)));
}

/** x where above `bound`, else what `below` makes of it. */
const piecewise = (
  tf: TensorFlow,
  x: DeviceArray,
  { bound, below }: { bound: number; below: DeviceArray },
): DeviceArray => tf.where(tf.greater(x, bound), x, below);

export const activationKernels: Kernels = {
  Relu: activation((tf, x) => tf.relu(x)),
  Sigmoid: activation((tf, x) => tf.sigmoid(x)),
  Tanh: activation((tf, x) => tf.tanh(x)),
  Softplus: activation(softplus),
  Softsign: activation((tf, x) => tf.div(x, tf.add(1, tf.abs(x)))),
  Mish: activation((tf, x) => tf.mul(x, tf.tanh(softplus(tf, x)))),
  LeakyRelu: activation((tf, x, node) =>
    piecewise(tf, x, { bound: 0, below: tf.mul(x, floatOf(node, 'alpha', 0.01)) }),
  ),
  ThresholdedRelu: activation((tf, x, node) =>
    piecewise(tf, x, { bound: floatOf(node, 'alpha', 1), below: tf.zerosLike(x) }),
  ),
  Elu: activation((tf, x, node) =>
    piecewise(tf, x, { bound: 0, below: tf.mul(floatOf(node, 'alpha', 1), tf.expm1(tf.minimum(x, 0))) }),
  ),
  Celu: activation((tf, x, node) => {
    const alpha = floatOf(node, 'alpha', 1);
    return tf.add(tf.relu(x), tf.mul(alpha, tf.expm1(tf.div(tf.minimum(x, 0), alpha))));
  }),
  Selu: activation((tf, x, node) => {
    const [alpha, gamma] = [floatOf(node, 'alpha', 1.6732632423543772), floatOf(node, 'gamma', 1.0507009873554805)];
    return tf.mul(gamma, piecewise(tf, x, { bound: 0, below: tf.mul(alpha, tf.expm1(tf.minimum(x, 0))) }));
  }),
  HardSigmoid: activation((tf, x, node) =>
    hardSigmoid(tf, x, { alpha: floatOf(node, 'alpha', 0.2), beta: floatOf(node, 'beta', 0.5) }),
  ),
  HardSwish: activation((tf, x) => tf.mul(x, hardSigmoid(tf, x, { alpha: 1 / 6, beta: 0.5 }))),
  Gelu: activation(gelu),
  Shrink: activation((tf, x, node) => {
    const [bias, lambda] = [floatOf(node, 'bias', 0), floatOf(node, 'lambd', 0.5)];
    const outside = tf.where(tf.less(x, -lambda), tf.add(x, bias), tf.zerosLike(x));
    return tf.where(tf.greater(x, lambda), tf.sub(x, bias), outside);
  }),
  PRelu: ofFirst((call, x) => call.tf.where(call.tf.greater(x, 0), x, call.tf.mul(x, tensorAt(call, 1)))),
  Clip: ofFirst((call, x) => {
    assertComputed(call);
    const { tf } = call;
    const [low, high] = [optionalAt(call, 1), optionalAt(call, 2)];
    const raised = low === undefined ? x : tf.maximum(x, low);
    return high === undefined ? raised : tf.minimum(raised, high);
  }),
  /** At inference the identity. */
  Dropout: (call) => {
    const { tf } = call;
    if ((numbersAt(call, 2)?.[0] ?? 0) !== 0 && (numbersAt(call, 1)?.[0] ?? 0.5) !== 0)
      throw unsupported(call.node, 'draws a mask at random; a training graph has its masks as inputs');
    const x = valueAt(call, 0);
    return [x, ...(call.node.outputs.length > 1 ? [Value.onDevice('bool', tf.ones([...x.shape], 'bool'))] : [])];
  },
};
