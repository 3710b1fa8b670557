/** Operators that give the same numbers another shape or order: https://onnx.ai/onnx/operators/onnx__Reshape.html */
import { elementCount } from '@graft/core/tensor';

import { axisOf, intOf, intsOf, malformed } from '../../../../operators/site.js';
import { numbersAt, ofFirst, result, valueAt, type Call, type Kernel, type Kernels } from '../../kernel.js';
import { Value, heldAs, type DeviceArray } from '../../value.js';

/** The first input under another shape; its numbers stay known. */
function reshaped(call: Call, shape: readonly number[]): readonly Value[] {
  const x = valueAt(call, 0);
  if (elementCount(shape) !== elementCount(x.shape)) {
    throw malformed(call.node, `gives ${elementCount(x.shape)} elements the shape [${shape.join(', ')}]`);
  }
  if (x.known !== undefined && x.dtype !== 'float32')
    return [Value.ofNumbers(call.tf, { dtype: x.dtype, shape }, x.known)];
  return result(x.dtype, call.tf.reshape(x.tensor(call.tf), [...shape]));
}

const view =
  (shapeOf: (call: Call, shape: readonly number[]) => readonly number[]): Kernel =>
  (call) =>
    reshaped(call, shapeOf(call, valueAt(call, 0).shape));

function reshape(call: Call, from: readonly number[]): readonly number[] {
  const copiesZero = intOf(call.node, 'allowzero', 0) === 0;
  const sizes = (numbersAt(call, 1) ?? []).map((size, axis) => (size === 0 && copiesZero ? (from[axis] ?? 0) : size));
  const rest = elementCount(sizes.filter((size) => size !== -1));
  return sizes.map((size) => (size === -1 ? (rest === 0 ? 0 : elementCount(from) / rest) : size));
}

function squeeze(call: Call, from: readonly number[]): readonly number[] {
  const given = numbersAt(call, 1)?.map((axis) => axisOf(call.node, axis, from.length));
  return from.filter((size, axis) => (given === undefined ? size !== 1 : !given.includes(axis)));
}

function unsqueeze(call: Call, from: readonly number[]): readonly number[] {
  const given = numbersAt(call, 1) ?? [];
  const rank = from.length + given.length;
  const axes = new Set(given.map((axis) => axisOf(call.node, axis, rank)));
  const rest = from.values();
  return Array.from({ length: rank }, (_, axis) => (axes.has(axis) ? 1 : (rest.next().value ?? 1)));
}

function flatten({ node }: Call, from: readonly number[]): readonly number[] {
  const axis = intOf(node, 'axis', 1);
  const split = axis < 0 ? axis + from.length : axis;
  return [elementCount(from.slice(0, split)), elementCount(from.slice(split))];
}

/** Repeats along axes of size 1 to a shape; where the target has 1 the size stays. */
export function expandTo(call: Call, x: DeviceArray, shape: readonly number[]): DeviceArray {
  const rank = Math.max(shape.length, x.shape.length);
  const own = [...Array<number>(rank - x.shape.length).fill(1), ...x.shape];
  const target = [...Array<number>(rank - shape.length).fill(1), ...shape];
  const aligned = x.shape.length === rank ? x : call.tf.reshape(x, own);
  const repeats = own.map((size, axis) => (size === 1 ? (target[axis] ?? 1) : 1));
  return repeats.every((count) => count === 1) ? aligned : call.tf.tile(aligned, repeats);
}

function shape(call: Call): readonly Value[] {
  const end = call.node.attributes['end'];
  const sizes = valueAt(call, 0).shape.slice(intOf(call.node, 'start', 0), end?.kind === 'int' ? end.value : undefined);
  return [Value.ofNumbers(call.tf, { dtype: 'int64', shape: [sizes.length] }, sizes)];
}

function constantOfShape(call: Call): readonly Value[] {
  const value = call.node.attributes['value'];
  const shape = (numbersAt(call, 0) ?? []).map(Number);
  if (value?.kind !== 'tensor') return result('float32', call.tf.zeros(shape));
  const { dtype, data } = value.value;
  const type = heldAs(dtype, `the result of node '${call.node.name}'`);
  return result(dtype, call.tf.fill(shape, Number(data[0] ?? 0), type));
}

export const shapingKernels: Kernels = {
  Reshape: view(reshape),
  Flatten: view(flatten),
  Squeeze: view(squeeze),
  Unsqueeze: view(unsqueeze),
  Transpose: ofFirst(({ tf, node }, x) => {
    const perm = intsOf(node, 'perm');
    if (x.shape.length < 2) return x;
    return tf.transpose(x, perm === undefined ? undefined : perm.map((axis) => axisOf(node, axis, x.shape.length)));
  }),
  Expand: ofFirst((call, x) => expandTo(call, x, numbersAt(call, 1) ?? [])),
  Tile: ofFirst(({ tf, ...call }, x) => {
    const repeats = numbersAt({ tf, ...call }, 1) ?? [];
    return x.shape.length === 0 ? x : tf.tile(x, [...repeats]);
  }),
  Shape: shape,
  Size: (call) => [Value.ofNumbers(call.tf, { dtype: 'int64', shape: [] }, [elementCount(valueAt(call, 0).shape)])],
  ConstantOfShape: constantOfShape,
  /** Blocks of the channels become places: https://onnx.ai/onnx/operators/onnx__DepthToSpace.html */
  DepthToSpace: ofFirst(({ tf, node }, x) => {
    const [n = 0, c = 0, h = 0, w = 0] = x.shape;
    const size = intOf(node, 'blocksize', 1);
    const crd = node.attributes['mode']?.kind === 'string' && node.attributes['mode'].value === 'CRD';
    const inner = c / (size * size);
    const blocks = tf.reshape(x, crd ? [n, inner, size, size, h, w] : [n, size, size, inner, h, w]);
    return tf.reshape(tf.transpose(blocks, crd ? [0, 1, 4, 2, 5, 3] : [0, 3, 4, 1, 5, 2]), [
      n,
      inner,
      h * size,
      w * size,
    ]);
  }),
  SpaceToDepth: ofFirst(({ tf, node }, x) => {
    const [n = 0, c = 0, h = 0, w = 0] = x.shape;
    const size = intOf(node, 'blocksize', 1);
    const blocks = tf.reshape(x, [n, c, h / size, size, w / size, size]);
    return tf.reshape(tf.transpose(blocks, [0, 3, 5, 1, 2, 4]), [n, c * size * size, h / size, w / size]);
  }),
  Constant: (call) => {
    const { attributes } = call.node;
    const [name = '', value] = Object.entries(attributes)[0] ?? [];
    switch (value?.kind) {
      case 'tensor':
        return [Value.of(call.tf, call.node.name, value.value)];
      case 'int':
        return [Value.ofNumbers(call.tf, { dtype: 'int64', shape: [] }, [value.value])];
      case 'ints':
        return [Value.ofNumbers(call.tf, { dtype: 'int64', shape: [value.value.length] }, value.value)];
      case 'float':
        return result('float32', call.tf.scalar(value.value, 'float32'));
      case 'floats':
        return result('float32', call.tf.tensor1d([...value.value], 'float32'));
      default:
        throw malformed(call.node, `holds a constant '${name}' that is not supported`);
    }
  },
};
