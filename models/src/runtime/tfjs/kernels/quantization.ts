/** To 8 bits and back, as training that knows of quantization does: https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html */
import type { DType } from '@graft/core/tensor';

import { axisOf, intOf, unsupported } from '../../../operators/site.js';
import { optionalAt, result, tensorAt, valueAt, type Call, type Kernels } from '../kernel.js';
import type { DeviceArray, Value } from '../value.js';

const ranges: Readonly<Partial<Record<DType, readonly [low: number, high: number]>>> = {
  uint8: [0, 255],
  int8: [-128, 127],
  uint16: [0, 65_535],
  int16: [-32_768, 32_767],
};

/** One number for all, or one for each place of an axis, in the shape that broadcasts against the data. */
function alongAxis(call: Call, parameter: DeviceArray): DeviceArray {
  const { tf, node } = call;
  const rank = valueAt(call, 0).shape.length;
  if (intOf(node, 'block_size', 0) !== 0)
    throw unsupported(node, 'quantizes in blocks, which the runtime tfjs does not');
  if (parameter.size === 1) return tf.reshape(parameter, []);
  const axis = axisOf(node, intOf(node, 'axis', 1), rank);
  return tf.reshape(
    parameter,
    Array.from({ length: rank }, (_, i) => (i === axis ? parameter.size : 1)),
  );
}

/** Rounded to the even neighbour, and held at the ends of the range. */
function quantize(call: Call): readonly Value[] {
  const { tf, node } = call;
  const dtype = call.inputs[2]?.dtype ?? 'uint8';
  const range = ranges[dtype];
  if (range === undefined || valueAt(call, 0).dtype !== 'float32')
    throw unsupported(node, `quantizes ${valueAt(call, 0).dtype} to ${dtype}, which the runtime tfjs does not`);
  const zero = optionalAt(call, 2);
  const steps = tf.round(tf.div(tensorAt(call, 0), alongAxis(call, tensorAt(call, 1))));
  const placed = zero === undefined ? steps : tf.add(steps, tf.cast(alongAxis(call, zero), 'float32'));
  return result(dtype, tf.cast(tf.clipByValue(placed, range[0], range[1]), 'int32'));
}

function dequantize(call: Call): readonly Value[] {
  const { tf } = call;
  const zero = optionalAt(call, 2);
  const x = tf.cast(tensorAt(call, 0), 'float32');
  const centered = zero === undefined ? x : tf.sub(x, tf.cast(alongAxis(call, zero), 'float32'));
  return result('float32', tf.mul(centered, alongAxis(call, tensorAt(call, 1))));
}

export const quantizationKernels: Kernels = { QuantizeLinear: quantize, DequantizeLinear: dequantize };
