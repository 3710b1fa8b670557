/** Operators that take tensors apart and put them together: https://onnx.ai/onnx/operators/onnx__Slice.html */
import { axisOf, intOf, stringOf, unsupported } from '../../../../operators/site.js';
import { numbersAt, ofFirst, result, tensorAt, valueAt, type Call, type Kernels } from '../../kernel.js';
import { Value, type DeviceArray, type TensorFlow } from '../../value.js';

interface Range {
  readonly axis: number;
  readonly start: number;
  readonly step: number;
  readonly size: number;
}

/** The ranges of a Slice, with starts and ends clamped as the operator's page says. */
function rangesOf(call: Call, shape: readonly number[]): Range[] {
  const [starts = [], ends = []] = [numbersAt(call, 1), numbersAt(call, 2)];
  const axes = numbersAt(call, 3) ?? starts.map((_, axis) => axis);
  const steps = numbersAt(call, 4) ?? starts.map(() => 1);
  return starts.map((start, i) => {
    const axis = axisOf(call.node, axes[i] ?? i, shape.length);
    const [step, size] = [steps[i] ?? 1, shape[axis] ?? 0];
    const clamp = (value: number): number => {
      const fromFront = value < 0 ? value + size : value;
      return step > 0 ? Math.min(Math.max(fromFront, 0), size) : Math.min(Math.max(fromFront, -1), size - 1);
    };
    const from = clamp(start);
    return { axis, start: from, step, size: Math.max(0, Math.ceil((clamp(ends[i] ?? 0) - from) / step)) };
  });
}

function slice(call: Call): readonly Value[] {
  const { tf } = call;
  const x = valueAt(call, 0);
  const ranges = rangesOf(call, x.shape);
  const [only] = ranges;
  if (x.known !== undefined && x.shape.length === 1 && only !== undefined && x.dtype !== 'float32') {
    const taken = Array.from({ length: only.size }, (_, i) => x.known?.[only.start + i * only.step] ?? 0);
    return [Value.ofNumbers(tf, { dtype: x.dtype, shape: [only.size] }, taken)];
  }
  return result(x.dtype, sliced(tf, x.tensor(tf), ranges));
}

/** Steps backwards are steps forwards over the axis turned around. */
function sliced(tf: TensorFlow, x: DeviceArray, ranges: readonly Range[]): DeviceArray {
  const back = ranges.filter(({ step }) => step < 0).map(({ axis }) => axis);
  const turned = back.length === 0 ? x : tf.reverse(x, back);
  const [begin, size, step] = [x.shape.map(() => 0), [...x.shape], x.shape.map(() => 1)];
  for (const { axis, start, step: by, size: count } of ranges) {
    begin[axis] = count === 0 ? 0 : by < 0 ? (x.shape[axis] ?? 0) - 1 - start : start;
    step[axis] = Math.abs(by);
    size[axis] = count;
  }
  if (size.includes(0)) return tf.zeros(size, x.dtype);
  if (step.every((by) => by === 1)) return tf.slice(turned, begin, size);
  const end = begin.map((from, axis) => from + ((size[axis] ?? 1) - 1) * (step[axis] ?? 1) + 1);
  return tf.stridedSlice(turned, begin, end, step);
}

function concat(call: Call): readonly Value[] {
  const { tf, node } = call;
  const first = valueAt(call, 0);
  const parts = call.inputs.map((_, i) => valueAt(call, i));
  const known = parts.map((part) => part.known);
  if (first.shape.length === 1 && first.dtype !== 'float32' && known.every((part) => part !== undefined)) {
    const numbers = known.flat();
    return [Value.ofNumbers(tf, { dtype: first.dtype, shape: [numbers.length] }, numbers)];
  }
  const axis = axisOf(node, intOf(node, 'axis', 0), first.shape.length);
  const filled = parts.filter(({ shape }) => shape[axis] !== 0);
  const tensors = (filled.length === 0 ? parts.slice(0, 1) : filled).map((part) => part.tensor(tf));
  return result(first.dtype, tensors.length === 1 && tensors[0] !== undefined ? tensors[0] : tf.concat(tensors, axis));
}

function split(call: Call): readonly Value[] {
  const { tf, node } = call;
  const { dtype, shape } = valueAt(call, 0);
  const x = tensorAt(call, 0);
  const axis = axisOf(node, intOf(node, 'axis', 0), shape.length);
  const [total, count] = [shape[axis] ?? 0, node.outputs.length];
  const each = Math.ceil(total / count);
  const sizes = numbersAt(call, 1) ?? Array.from({ length: count }, (_, i) => Math.min(each, total - i * each));
  let start = 0;
  return sizes.map((size) => {
    const part = sliced(tf, x, [{ axis, start, step: 1, size }]);
    start += size;
    return Value.onDevice(dtype, part);
  });
}

/** Places counted from the end become places from the front. */
function fromFront(tf: TensorFlow, places: Value, size: number): DeviceArray {
  const indices = tf.cast(places.tensor(tf), 'int32');
  if (places.known?.every((place) => place >= 0) === true) return indices;
  return tf.where(tf.less(indices, tf.scalar(0, 'int32')), tf.add(indices, tf.scalar(size, 'int32')), indices);
}

function gather(call: Call): readonly Value[] {
  const { tf, node } = call;
  const [x, indices] = [valueAt(call, 0), valueAt(call, 1)];
  const axis = axisOf(node, intOf(node, 'axis', 0), x.shape.length);
  const size = x.shape[axis] ?? 0;
  if (x.known !== undefined && indices.known !== undefined && x.shape.length === 1 && x.dtype !== 'float32') {
    const picked = indices.known.map((place) => x.known?.at(place) ?? 0);
    return [Value.ofNumbers(tf, { dtype: x.dtype, shape: indices.shape }, picked)];
  }
  const places = fromFront(tf, indices, size);
  // One backend gathers by vectors only.
  const rows = tf.gather(x.tensor(tf), tf.reshape(places, [-1]), axis);
  return result(x.dtype, tf.reshape(rows, [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)]));
}

/** The coordinates [..., rank] of the elements that GatherElements and ScatterElements mean. */
function elementPlaces(call: Call, axis: number): DeviceArray {
  const { tf } = call;
  const [x, indices] = [valueAt(call, 0), valueAt(call, 1)];
  const coordinates = indices.shape.map((size, i) => {
    if (i === axis) return fromFront(tf, indices, x.shape[axis] ?? 0);
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

function gatherElements(call: Call): readonly Value[] {
  const { tf, node } = call;
  const { dtype, shape } = valueAt(call, 0);
  const places = elementPlaces(call, axisOf(node, intOf(node, 'axis', 0), shape.length));
  return result(dtype, tf.gatherND(tensorAt(call, 0), places));
}

/** `batch_dims` leading axes are the same in both: they become coordinates of their own. */
function gatherNd(call: Call): readonly Value[] {
  const { tf, node } = call;
  const { dtype, shape } = valueAt(call, 0);
  if (intOf(node, 'batch_dims', 0) !== 0)
    throw unsupported(node, 'gathers with batch axes, which the runtime tfjs does not');
  return result(dtype, tf.gatherND(tensorAt(call, 0), coordinatesFromFront(call, shape)));
}

function coordinatesFromFront(call: Call, shape: readonly number[]): DeviceArray {
  const { tf } = call;
  const indices = valueAt(call, 1);
  const places = tf.cast(indices.tensor(tf), 'int32');
  if (indices.known?.every((place) => place >= 0) === true) return places;
  const sizes = tf.tensor1d(shape.slice(0, indices.shape.at(-1) ?? 0), 'int32');
  return tf.where(tf.less(places, tf.scalar(0, 'int32')), tf.add(places, sizes), places);
}

/** Adds or writes updates at coordinates [..., depth]. */
function scattered(call: Call, places: DeviceArray, updates: DeviceArray): readonly Value[] {
  const { tf, node } = call;
  const { dtype, shape } = valueAt(call, 0);
  const x = tensorAt(call, 0);
  if (updates.size === 0) return result(dtype, x);
  const reduction = stringOf(node, 'reduction', 'none');
  const depth = places.shape.at(-1) ?? 0;
  const rows = tf.reshape(places, [-1, depth]);
  const values = tf.reshape(updates, [-1, ...shape.slice(depth)]);
  if (reduction === 'add') return result(dtype, tf.add(x, tf.scatterND(rows, values, [...shape])));
  if (reduction === 'none') return result(dtype, tf.tensorScatterUpdate(x, rows, values));
  throw unsupported(node, `scatters with the reduction '${reduction}', which the runtime tfjs does not`);
}

export const indexingKernels: Kernels = {
  Slice: slice,
  Concat: concat,
  Split: split,
  Gather: gather,
  GatherElements: gatherElements,
  GatherND: gatherNd,
  ScatterND: (call) => scattered(call, coordinatesFromFront(call, valueAt(call, 0).shape), tensorAt(call, 2)),
  ScatterElements: (call) => {
    const { node } = call;
    const axis = axisOf(node, intOf(node, 'axis', 0), valueAt(call, 0).shape.length);
    return scattered(call, elementPlaces(call, axis), tensorAt(call, 2));
  },
  OneHot: (call) => {
    const { tf, node } = call;
    const [indices, depth, values] = [valueAt(call, 0), numbersAt(call, 1)?.[0] ?? 0, valueAt(call, 2)];
    const rank = indices.shape.length + 1;
    const axis = axisOf(node, intOf(node, 'axis', -1), rank);
    const classes = tf.reshape(
      tf.range(0, depth, 1, 'int32'),
      Array.from({ length: rank }, (_, i) => (i === axis ? depth : 1)),
    );
    const hot = tf.equal(tf.expandDims(fromFront(tf, indices, depth), axis), classes);
    const [off, on] = [0, 1].map((place) => tf.reshape(tf.slice(values.tensor(tf), [place], [1]), []));
    if (off === undefined || on === undefined) return [];
    return result(
      values.dtype,
      tf.where(hot, tf.mul(tf.onesLike(tf.cast(hot, on.dtype)), on), tf.mul(tf.onesLike(tf.cast(hot, on.dtype)), off)),
    );
  },
  Range: (call) => {
    const [start = 0, limit = 0, delta = 1] = [0, 1, 2].map((i) => numbersAt(call, i)?.[0]);
    const { dtype } = valueAt(call, 0);
    const length = Math.max(0, Math.ceil((limit - start) / delta));
    const numbers = Array.from({ length }, (_, i) => start + i * delta);
    if (dtype === 'float32') return result(dtype, call.tf.tensor1d(numbers, 'float32'));
    return [Value.ofNumbers(call.tf, { dtype, shape: [length] }, numbers)];
  },
  CumSum: ofFirst((call, x) => {
    const { tf, node } = call;
    const axis = axisOf(node, numbersAt(call, 1)?.[0] ?? 0, x.shape.length);
    return tf.cumsum(x, axis, intOf(node, 'exclusive', 0) === 1, intOf(node, 'reverse', 0) === 1);
  }),
  Trilu: ofFirst((call, x) => {
    const { tf, node } = call;
    const [rows = 0, columns = 0] = x.shape.slice(-2);
    const shift = numbersAt(call, 1)?.[0] ?? 0;
    const upper = intOf(node, 'upper', 1) === 1;
    const places = tf.sub(
      tf.reshape(tf.range(0, columns, 1, 'int32'), [1, columns]),
      tf.reshape(tf.range(0, rows, 1, 'int32'), [rows, 1]),
    );
    const kept = upper
      ? tf.greaterEqual(places, tf.scalar(shift, 'int32'))
      : tf.lessEqual(places, tf.scalar(shift, 'int32'));
    return tf.mul(x, tf.cast(kept, x.dtype === 'bool' ? 'int32' : x.dtype));
  }),
  TopK: (call) => {
    const { tf, node } = call;
    const { dtype, shape } = valueAt(call, 0);
    const axis = axisOf(node, intOf(node, 'axis', -1), shape.length);
    const last = shape.length - 1;
    const swap = [...shape.keys()].map((each) => (each === axis ? last : each === last ? axis : each));
    const smallest = intOf(node, 'largest', 1) === 0;
    const rows = axis === last ? tensorAt(call, 0) : tf.transpose(tensorAt(call, 0), swap);
    const { values, indices } = tf.topk(smallest ? tf.neg(rows) : rows, numbersAt(call, 1)?.[0] ?? 1, true);
    const back = (x: DeviceArray): DeviceArray => (axis === last ? x : tf.transpose(x, swap));
    return [Value.onDevice(dtype, back(smallest ? tf.neg(values) : values)), Value.onDevice('int64', back(indices))];
  },
};
