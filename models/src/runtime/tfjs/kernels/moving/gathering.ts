/** Operators that read at places: https://onnx.ai/onnx/operators/onnx__Gather.html */
import { elementCount } from '@graft/core/tensor';

import { axisOf, intOf } from '../../../../operators/site.js';
import { numbersAt, result, tensorAt, valueAt, type Call, type Kernels } from '../../kernel.js';
import { Value } from '../../value.js';
import { elementPlaces, placesFromFront } from './places.js';

function gather(call: Call): readonly Value[] {
  const { tf, node } = call;
  const [x, indices] = [valueAt(call, 0), valueAt(call, 1)];
  const axis = axisOf(node, intOf(node, 'axis', 0), x.shape.length);
  if (x.known !== undefined && indices.known !== undefined && x.shape.length === 1 && x.dtype !== 'float32') {
    const picked = indices.known.map((place) => x.known?.at(place) ?? 0);
    return [Value.ofNumbers(tf, { dtype: x.dtype, shape: indices.shape }, picked)];
  }
  const places = placesFromFront(call, indices, [x.shape[axis] ?? 0]);
  // One backend gathers by vectors only.
  const rows = tf.gather(x.tensor(tf), tf.reshape(places, [-1]), axis);
  return result(x.dtype, tf.reshape(rows, [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)]));
}

function gatherElements(call: Call): readonly Value[] {
  const { tf, node } = call;
  const { dtype, shape } = valueAt(call, 0);
  const places = elementPlaces(call, axisOf(node, intOf(node, 'axis', 0), shape.length));
  return result(dtype, tf.gatherND(tensorAt(call, 0), places));
}

/** Leading axes that are the same in both become a coordinate of their own. */
function gatherNd(call: Call): readonly Value[] {
  const { tf, node } = call;
  const { dtype, shape } = valueAt(call, 0);
  const indices = valueAt(call, 1);
  const batchRank = intOf(node, 'batch_dims', 0);
  const [batch, rest] = [elementCount(shape.slice(0, batchRank)), shape.slice(batchRank)];
  const depth = indices.shape.at(-1) ?? 0;
  const places = tf.reshape(placesFromFront(call, indices, rest.slice(0, depth)), [batch, -1, depth]);
  const count = places.shape[1] ?? 0;
  const own = tf.tile(tf.reshape(tf.range(0, batch, 1, 'int32'), [batch, 1, 1]), [1, count, 1]);
  const picked = tf.gatherND(tf.reshape(tensorAt(call, 0), [batch, ...rest]), tf.concat([own, places], 2));
  return result(dtype, tf.reshape(picked, [...indices.shape.slice(0, -1), ...rest.slice(depth)]));
}

export const gatheringKernels: Kernels = {
  Gather: gather,
  GatherElements: gatherElements,
  GatherND: gatherNd,
  OneHot: (call) => {
    const { tf, node } = call;
    const [indices, depth, values] = [valueAt(call, 0), numbersAt(call, 1)?.[0] ?? 0, valueAt(call, 2)];
    const rank = indices.shape.length + 1;
    const axis = axisOf(node, intOf(node, 'axis', -1), rank);
    const along = Array.from({ length: rank }, (_, i) => (i === axis ? depth : 1));
    const places = tf.expandDims(tf.cast(indices.tensor(tf), 'int32'), axis);
    // A place outside is hot nowhere.
    const fromFront = tf.where(
      tf.less(places, tf.scalar(0, 'int32')),
      tf.add(places, tf.scalar(depth, 'int32')),
      places,
    );
    const hot = tf.cast(tf.equal(fromFront, tf.reshape(tf.range(0, depth, 1, 'int32'), along)), 'int32');
    return result(values.dtype, tf.reshape(tf.gather(values.tensor(tf), tf.reshape(hot, [-1])), hot.shape));
  },
};
