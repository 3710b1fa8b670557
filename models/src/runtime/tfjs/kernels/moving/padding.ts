/** https://onnx.ai/onnx/operators/onnx__Pad.html */
import { axisOf, stringOf, unsupported } from '../../../../operators/site.js';
import { numbersAt, ofFirst, type Call, type Kernels } from '../../kernel.js';
import type { DeviceArray, TensorFlow } from '../../value.js';

type Amounts = readonly (readonly [begin: number, end: number])[];

function amountsOf(call: Call, rank: number): Amounts {
  const amounts = numbersAt(call, 1) ?? [];
  const axes = (numbersAt(call, 3) ?? [...Array(rank).keys()]).map((axis) => axisOf(call.node, axis, rank));
  return Array.from({ length: rank }, (_, axis) => {
    const i = axes.indexOf(axis);
    return i < 0 ? [0, 0] : [amounts[i] ?? 0, amounts[i + axes.length] ?? 0];
  });
}

/** A constant around a tensor; a negative amount takes elements away. */
export function padded(tf: TensorFlow, x: DeviceArray, amounts: Amounts, value = 0): DeviceArray {
  const cut = amounts.map(([begin, end]) => [Math.max(0, -begin), Math.max(0, -end)] as const);
  const inner = cut.some(([begin, end]) => begin + end > 0)
    ? tf.slice(
        x,
        cut.map(([begin]) => begin),
        cut.map(([begin, end], axis) => (x.shape[axis] ?? 0) - begin - end),
      )
    : x;
  const added = amounts.map(([begin, end]): [number, number] => [Math.max(0, begin), Math.max(0, end)]);
  if (added.every(([begin, end]) => begin + end === 0)) return inner;
  if (x.dtype === 'bool') return tf.cast(tf.pad(tf.cast(inner, 'int32'), added, value), 'bool');
  return tf.pad(inner, added, value);
}

/** The element that each place along an axis shows. */
function shownPlaces(mode: string, size: number, [begin, end]: readonly [number, number]): number[] {
  const period = mode === 'reflect' ? Math.max(1, 2 * size - 2) : size;
  return Array.from({ length: size + begin + end }, (_, i) => {
    const place = i - begin;
    if (mode === 'edge') return Math.min(Math.max(place, 0), size - 1);
    const turned = ((place % period) + period) % period;
    return turned < size ? turned : period - turned;
  });
}

export const paddingKernels: Kernels = {
  Pad: ofFirst((call, x) => {
    const { tf, node } = call;
    const amounts = amountsOf(call, x.shape.length);
    const mode = stringOf(node, 'mode', 'constant');
    if (mode === 'constant') return padded(tf, x, amounts, numbersAt(call, 2)?.[0] ?? 0);
    if (!['reflect', 'edge', 'wrap'].includes(mode)) throw unsupported(node, `pads in mode '${mode}'`);
    return amounts.reduce((sum, amount, axis) => {
      if (amount[0] === 0 && amount[1] === 0) return sum;
      return tf.gather(sum, tf.tensor1d(shownPlaces(mode, sum.shape[axis] ?? 0, amount), 'int32'), axis);
    }, x);
  }),
};
