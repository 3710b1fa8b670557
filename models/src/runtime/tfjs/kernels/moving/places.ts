/**
 * Places that indices name. They are checked where the backend does not: one reads past the end of its memory, and writes there.
 * TensorFlow refuses a place outside on the CPU, and leaves it out on a GPU.
 */
import { unsupported } from '../../../../operators/site.js';
import type { Call } from '../../kernel.js';
import { valueAt } from '../../kernel.js';
import type { DeviceArray, Value } from '../../value.js';

/** Places along axes of the given sizes, counted from the front. @param sizes one, or one for each number of the last axis */
export function placesFromFront(call: Call, places: Value, sizes: readonly number[]): DeviceArray {
  const { tf } = call;
  const indices = tf.cast(places.tensor(tf), 'int32');
  const depth = sizes.length;
  if (tf.getBackend() !== 'tensorflow' || places.known !== undefined) assertInside(call, places, sizes);
  if (places.known?.every((place) => place >= 0) === true) return indices;
  const size = depth === 1 ? tf.scalar(sizes[0] ?? 0, 'int32') : tf.tensor1d([...sizes], 'int32');
  return tf.where(tf.less(indices, tf.scalar(0, 'int32')), tf.add(indices, size), indices);
}

function assertInside(call: Call, places: Value, sizes: readonly number[]): void {
  const numbers = places.known ?? places.tensor(call.tf).dataSync();
  const depth = sizes.length;
  for (let i = 0; i < numbers.length; i++) {
    const [place = 0, size = 0] = [numbers[i], sizes[i % depth]];
    if (place >= -size && place < size) continue;
    throw unsupported(call.node, `reads place ${place} of an axis of ${size}`);
  }
}

/** The coordinates [..., rank] of the elements that GatherElements and ScatterElements mean. */
export function elementPlaces(call: Call, axis: number): DeviceArray {
  const { tf } = call;
  const [x, indices] = [valueAt(call, 0), valueAt(call, 1)];
  const coordinates = indices.shape.map((size, i) => {
    if (i === axis) return placesFromFront(call, indices, [x.shape[axis] ?? 0]);
    const along = tf.reshape(
      tf.range(0, size, 1, 'int32'),
      indices.shape.map((_, other) => (other === i ? size : 1)),
    );
    return tf.tile(
      along,
      indices.shape.map((count, other) => (other === i ? 1 : count)),
    );
  });
  return tf.stack(coordinates, indices.shape.length);
}
