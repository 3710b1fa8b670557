/** https://onnx.ai/onnx/operators/onnx__SoftmaxCrossEntropyLoss.html, onnx__NegativeLogLikelihoodLoss.html */
import { stringOf } from '../../../operators/site.js';
import { optionalAt, tensorAt, type Call, type Kernels } from '../kernel.js';
import { Value, type DeviceArray } from '../value.js';
import { logSoftmax } from './softmax.js';

/** -log p of each label, weighted by its class; mean is over the weights. @param logs [N, C, ...] */
function likelihoodLoss(call: Call, logs: DeviceArray): DeviceArray {
  const { tf, node } = call;
  const weights = optionalAt(call, 2);
  const shape = tensorAt(call, 1).shape;
  const [rows = 1, classes = 1] = logs.shape;
  // [N, C, places], since one backend multiplies up to six axes only.
  const flat = tf.reshape(logs, [rows, classes, -1]);
  const labels = tf.cast(tf.reshape(tensorAt(call, 1), [rows, -1]), 'int32');
  const chosen = tf.equal(tf.expandDims(labels, 1), tf.reshape(tf.range(0, classes, 1, 'int32'), [1, classes, 1]));
  const losses = tf.neg(tf.sum(tf.where(chosen, flat, tf.zerosLike(flat)), 1));
  const ignore = node.attributes['ignore_index'];
  const counted =
    ignore?.kind === 'int'
      ? tf.cast(tf.notEqual(labels, tf.scalar(ignore.value, 'int32')), 'float32')
      : tf.onesLike(losses);
  const marks = tf.cast(chosen, 'float32');
  const ofClass = weights && tf.sum(tf.mul(marks, tf.reshape(weights, [1, classes, 1])), 1);
  const shares = ofClass === undefined ? counted : tf.mul(ofClass, counted);
  const weighted = tf.mul(losses, shares);
  const reduction = stringOf(node, 'reduction', 'mean');
  if (reduction === 'none') return tf.reshape(weighted, shape);
  return reduction === 'sum' ? tf.sum(weighted) : tf.div(tf.sum(weighted), tf.sum(shares));
}

export const lossKernels: Kernels = {
  NegativeLogLikelihoodLoss: (call) => [Value.onDevice('float32', likelihoodLoss(call, tensorAt(call, 0)))],
  SoftmaxCrossEntropyLoss: (call) => {
    const logs = logSoftmax(call.tf, tensorAt(call, 0), 1);
    return [likelihoodLoss(call, logs), logs].map((each) => Value.onDevice('float32', each));
  },
};
