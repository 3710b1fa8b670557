/** Operators that write at places: https://onnx.ai/onnx/operators/onnx__ScatterND.html */
import { elementCount } from '@graft/core/tensor';

import { axisOf, intOf, malformed, stringOf } from '../../../../operators/site.js';
import { result, tensorAt, valueAt, type Call, type Kernels } from '../../kernel.js';
import type { DeviceArray, Value } from '../../value.js';
import { elementPlaces, placesFromFront } from './places.js';

type Combine = (before: number, update: number) => number;

const combinations: Readonly<Record<string, Combine>> = {
  mul: (before, update) => before * update,
  max: (before, update) => Math.max(before, update),
  min: (before, update) => Math.min(before, update),
};

/** Adds or writes updates at coordinates [..., depth]; tfjs has no other way to combine, so that the others run on the host. */
function scattered(call: Call, places: DeviceArray): readonly Value[] {
  const { tf, node } = call;
  const { dtype, shape } = valueAt(call, 0);
  const [x, updates] = [tensorAt(call, 0), tensorAt(call, 2)];
  if (updates.size === 0) return result(dtype, x);
  const reduction = stringOf(node, 'reduction', 'none');
  const depth = places.shape.at(-1) ?? 0;
  const rows = tf.reshape(places, [-1, depth]);
  const values = tf.reshape(updates, [-1, ...shape.slice(depth)]);
  if (reduction === 'add') return result(dtype, tf.add(x, tf.scatterND(rows, values, [...shape])));
  if (reduction === 'none') return result(dtype, tf.tensorScatterUpdate(x, rows, values));
  const combine = Object.hasOwn(combinations, reduction) ? combinations[reduction] : undefined;
  if (combine === undefined) throw malformed(node, `has the reduction '${reduction}'`);
  return result(dtype, combined(call, { rows, values, combine }));
}

function combined(
  call: Call,
  { rows, values, combine }: { rows: DeviceArray; values: DeviceArray; combine: Combine },
): DeviceArray {
  const { tf } = call;
  const x = tensorAt(call, 0);
  const depth = rows.shape[1] ?? 0;
  const [places, updates, data] = [rows.dataSync(), values.dataSync(), Array.from(x.dataSync())];
  const block = elementCount(x.shape.slice(depth));
  for (let row = 0; row < places.length / Math.max(1, depth); row++) {
    let start = 0;
    for (let i = 0; i < depth; i++) start = start * (x.shape[i] ?? 1) + (places[row * depth + i] ?? 0);
    for (let i = 0; i < block; i++) {
      const at = start * block + i;
      data[at] = combine(data[at] ?? 0, updates[row * block + i] ?? 0);
    }
  }
  return tf.tensor(data, x.shape, x.dtype);
}

export const scatteringKernels: Kernels = {
  ScatterND: (call) => {
    const { shape } = valueAt(call, 0);
    const indices = valueAt(call, 1);
    return scattered(call, placesFromFront(call, indices, shape.slice(0, indices.shape.at(-1) ?? 0)));
  },
  ScatterElements: (call) => {
    const axis = axisOf(call.node, intOf(call.node, 'axis', 0), valueAt(call, 0).shape.length);
    return scattered(call, elementPlaces(call, axis));
  },
};
