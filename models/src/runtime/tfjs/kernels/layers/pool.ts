/** Pools: https://onnx.ai/onnx/operators/onnx__MaxPool.html, onnx__AveragePool.html */
import { elementCount } from '@graft/core/tensor';

import type { FixedAxis } from '../../../../operators/window.js';
import { intOf } from '../../../../operators/site.js';
import { ofFirst, result, tensorAt, valueAt, type Call, type Kernels } from '../../kernel.js';
import { Value, type DeviceArray, type TensorFlow } from '../../value.js';
import { padded } from '../moving/padding.js';
import { cover, windowAxes } from './window-axes.js';

/** Smaller than all that a model computes, and a number that every backend compares. */
const lowest = -3.4028234663852886e38;

/** The input with its padding, exactly as far as the windows reach. */
function underWindows(
  tf: TensorFlow,
  x: DeviceArray,
  { axes, value }: { axes: readonly FixedAxis[]; value: number },
): DeviceArray {
  const amounts = axes.map((axis): [number, number] => [axis.begin, cover(axis) - axis.input - axis.begin]);
  return padded(tf, x, [[0, 0], [0, 0], ...amounts], value);
}

interface Tap {
  /** What this place of the window sees, [N, C, ...outputs]. */
  readonly seen: DeviceArray;
  /** Its place among the elements of an image, for each output. */
  readonly places: readonly number[];
}

/** Every place of the window in turn, in row-major order. */
function tapsOf(tf: TensorFlow, input: DeviceArray, axes: readonly FixedAxis[]): Tap[] {
  const kernels = axes.map(({ kernel }) => kernel);
  return Array.from({ length: elementCount(kernels) }, (_, tap) => {
    const offsets = coordinates(tap, kernels);
    const begin = [0, 0, ...axes.map(({ dilation }, i) => (offsets[i] ?? 0) * dilation)];
    const end = [
      ...input.shape.slice(0, 2),
      ...axes.map(({ output, stride }, i) => (begin[i + 2] ?? 0) + (output - 1) * stride + 1),
    ];
    const seen = tf.stridedSlice(input, begin, end, [1, 1, ...axes.map(({ stride }) => stride)]);
    return { seen, places: placesOf(axes, begin.slice(2)) };
  });
}

function coordinates(index: number, shape: readonly number[]): number[] {
  return shape
    .toReversed()
    .reduce<{ rest: number; at: number[] }>(
      ({ rest, at }, size) => ({ rest: Math.floor(rest / size), at: [rest % size, ...at] }),
      { rest: index, at: [] },
    ).at;
}

function placesOf(axes: readonly FixedAxis[], begin: readonly number[]): number[] {
  const outputs = axes.map(({ output }) => output);
  return Array.from({ length: elementCount(outputs) }, (_, i) =>
    coordinates(i, outputs).reduce((place, at, axis) => {
      const { stride = 1, begin: before = 0, input = 1 } = axes[axis] ?? {};
      return place * input + at * stride + (begin[axis] ?? 0) - before;
    }, 0),
  );
}

/** The largest of each window, and where it lies: the first of equal ones. */
function maxWithPlaces(call: Call, axes: readonly FixedAxis[]): readonly Value[] {
  const { tf, node } = call;
  const x = tensorAt(call, 0);
  const taps = tapsOf(tf, underWindows(tf, x, { axes, value: lowest }), axes);
  const [n = 1, c = 1, ...spatial] = x.shape;
  const image = elementCount(spatial);
  const outputs = axes.map(({ output }) => output);
  const placesTensor = (places: readonly number[]): DeviceArray => tf.tensor([...places], [1, 1, ...outputs], 'int32');
  const [first, ...rest] = taps;
  if (first === undefined) return [];
  let best = first.seen;
  let place: DeviceArray = tf.tile(placesTensor(first.places), [n, c, ...outputs.map(() => 1)]);
  for (const { seen, places } of rest) {
    const better = tf.greater(seen, best);
    best = tf.where(better, seen, best);
    place = tf.where(better, placesTensor(places), place);
  }
  const starts = tf.reshape(tf.range(0, n * c * image, image, 'int32'), [n, c, ...outputs.map(() => 1)]);
  if (node.outputs.length < 2) return result('float32', best);
  return [Value.onDevice('float32', best), Value.onDevice('int64', tf.add(place, starts))];
}

function isPlane(axes: readonly FixedAxis[]): boolean {
  return axes.length === 2 && axes.every(({ dilation }) => dilation === 1);
}

type PlanePool = (x: DeviceArray, size: [number, number], stride: [number, number]) => DeviceArray;

/** A pool of tfjs, which wants channels last. */
function plane(
  tf: TensorFlow,
  input: DeviceArray,
  { axes, pool }: { axes: readonly FixedAxis[]; pool: PlanePool },
): DeviceArray {
  const [height, width] = axes;
  if (height === undefined || width === undefined) return input;
  const pooled = pool(tf.transpose(input, [0, 2, 3, 1]), [height.kernel, width.kernel], [height.stride, width.stride]);
  return tf.transpose(pooled, [0, 3, 1, 2]);
}

function maxPool(call: Call): readonly Value[] {
  const { tf, node } = call;
  const axes = windowAxes(call);
  const x = tensorAt(call, 0);
  if (node.outputs.length > 1 || !isPlane(axes)) return maxWithPlaces(call, axes);
  const pool: PlanePool = (image, size, stride) => tf.maxPool(image as never, size, stride, 'valid');
  return result(valueAt(call, 0).dtype, plane(tf, underWindows(tf, x, { axes, value: lowest }), { axes, pool }));
}

/** Elements under each window: with count_include_pad also those of the padding, but not what lies beyond it. */
function counts(axes: readonly FixedAxis[], countPadding: boolean): number[] {
  const perAxis = axes.map(({ output, kernel, stride, dilation, begin, input, end }) =>
    Array.from(
      { length: output },
      (_, place) =>
        Array.from({ length: kernel }, (__, tap) => place * stride + tap * dilation - begin).filter((at) =>
          countPadding ? at < input + end : at >= 0 && at < input,
        ).length,
    ),
  );
  return perAxis.reduce((all, each) => all.flatMap((a) => each.map((b) => a * b)), [1]);
}

function averagePool(call: Call): readonly Value[] {
  const { tf, node } = call;
  const axes = windowAxes(call);
  const input = underWindows(tf, tensorAt(call, 0), { axes, value: 0 });
  const size = elementCount(axes.map(({ kernel }) => kernel));
  const shares = counts(axes, intOf(node, 'count_include_pad', 0) === 1);
  const even = shares.every((count) => count === size);
  const pool: PlanePool = (image, window, stride) => tf.avgPool(image as never, window, stride, 'valid');
  if (isPlane(axes)) {
    const average = plane(tf, input, { axes, pool });
    return result(
      'float32',
      even
        ? average
        : tf.mul(
            average,
            factors(
              tf,
              axes,
              shares.map((count) => size / count),
            ),
          ),
    );
  }
  const taps = tapsOf(tf, input, axes).map(({ seen }) => seen);
  const sum = taps.reduce((total, each) => tf.add(total, each));
  return result(
    'float32',
    tf.mul(
      sum,
      factors(
        tf,
        axes,
        shares.map((count) => 1 / count),
      ),
    ),
  );
}

const factors = (tf: TensorFlow, axes: readonly FixedAxis[], values: number[]): DeviceArray =>
  tf.tensor(values, [1, 1, ...axes.map(({ output }) => output)], 'float32');

function lpPool(call: Call): readonly Value[] {
  const { tf, node } = call;
  const axes = windowAxes(call);
  const p = intOf(node, 'p', 2);
  const power = tf.pow(tf.abs(tensorAt(call, 0)), p);
  const taps = tapsOf(tf, underWindows(tf, power, { axes, value: 0 }), axes).map(({ seen }) => seen);
  return result(
    'float32',
    tf.pow(
      taps.reduce((total, each) => tf.add(total, each)),
      1 / p,
    ),
  );
}

const inner = (x: DeviceArray): number[] => [...x.shape.keys()].slice(2);

export const poolKernels: Kernels = {
  MaxPool: maxPool,
  AveragePool: averagePool,
  LpPool: lpPool,
  GlobalAveragePool: ofFirst(({ tf }, x) => tf.mean(x, inner(x), true)),
  GlobalMaxPool: ofFirst(({ tf }, x) => tf.max(x, inner(x), true)),
  GlobalLpPool: ofFirst(({ tf, node }, x) => {
    const p = intOf(node, 'p', 2);
    return tf.pow(tf.sum(tf.pow(tf.abs(x), p), inner(x), true), 1 / p);
  }),
};
