/** Activation functions by the names that recurrent operators give them: https://onnx.ai/onnx/operators/onnx__RNN.html */
import type { Node } from '../../../../graph/graph.js';
import { unsupported } from '../../../../operators/site.js';
import type { DeviceArray, TensorFlow } from '../../value.js';

export type Activation = (tf: TensorFlow, x: DeviceArray) => DeviceArray;

interface Named {
  readonly defaults: readonly number[];
  readonly apply: (tf: TensorFlow, x: DeviceArray, parameters: { alpha: number; beta: number }) => DeviceArray;
}

const named: Readonly<Record<string, Named>> = {
  sigmoid: { defaults: [], apply: (tf, x) => tf.sigmoid(x) },
  tanh: { defaults: [], apply: (tf, x) => tf.tanh(x) },
  relu: { defaults: [], apply: (tf, x) => tf.relu(x) },
  softsign: { defaults: [], apply: (tf, x) => tf.div(x, tf.add(1, tf.abs(x))) },
  softplus: { defaults: [], apply: (tf, x) => tf.softplus(x) },
  affine: { defaults: [1, 0], apply: (tf, x, { alpha, beta }) => tf.add(tf.mul(x, alpha), beta) },
  leakyrelu: { defaults: [0.01], apply: (tf, x, { alpha }) => tf.where(tf.greater(x, 0), x, tf.mul(x, alpha)) },
  thresholdedrelu: { defaults: [1], apply: (tf, x, { alpha }) => tf.where(tf.greater(x, alpha), x, tf.zerosLike(x)) },
  scaledtanh: { defaults: [1, 1], apply: (tf, x, { alpha, beta }) => tf.mul(alpha, tf.tanh(tf.mul(x, beta))) },
  hardsigmoid: {
    defaults: [0.2, 0.5],
    apply: (tf, x, { alpha, beta }) => tf.clipByValue(tf.add(tf.mul(x, alpha), beta), 0, 1),
  },
  elu: {
    defaults: [1],
    apply: (tf, x, { alpha }) => tf.where(tf.greater(x, 0), x, tf.mul(alpha, tf.expm1(tf.minimum(x, 0)))),
  },
};

/** The activation at a place of the list; alphas and betas are lists of their own, used up by those that have such. */
export function activationOf(
  node: Node,
  { names, place, clip }: { names: readonly string[]; place: number; clip: number | undefined },
): Activation {
  const all = names.map((name) => ({ name, ...rowOf(node, name) }));
  const before = all.slice(0, place);
  const one = all[place] ?? { name: '', ...rowOf(node, '') };
  const parameter = (list: 'activation_alpha' | 'activation_beta', i: 0 | 1): number => {
    const attribute = node.attributes[list];
    const used = before.filter(({ defaults }) => defaults.length > i).length;
    const given = attribute?.kind === 'floats' && one.defaults.length > i ? attribute.value[used] : undefined;
    return given ?? one.defaults[i] ?? 0;
  };
  const parameters = { alpha: parameter('activation_alpha', 0), beta: parameter('activation_beta', 1) };
  return (tf, x) => one.apply(tf, clip === undefined ? x : tf.clipByValue(x, -clip, clip), parameters);
}

function rowOf(node: Node, name: string): Named {
  const row = named[name.toLowerCase()];
  if (row !== undefined) return row;
  throw unsupported(node, `has the activation '${name}', which is not known`);
}
