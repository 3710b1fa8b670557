/** Operators that cut and join: https://onnx.ai/onnx/operators/onnx__Slice.html */
import { axisOf, intOf } from '../../../../operators/site.js';
import { numbersAt, result, tensorAt, valueAt, type Call, type Kernels } from '../../kernel.js';
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

export const slicingKernels: Kernels = { Slice: slice, Concat: concat, Split: split };
