/** For specs: the cases of operators that give numbers another shape whose gradients are compared, and their float64 references. */
import {
  broadcastShape,
  make,
  none,
  pick,
  size,
  transpose,
  type Array64,
  type References,
} from './array64.contract.js';
import { ints, type GradientCase } from './central-differences.contract.js';
import { intOf, intsOf } from './site.js';

export const shapingCases: readonly GradientCase[] = [
  { op: 'Transpose', shapes: [[2, 3, 4]], attributes: { perm: [2, 0, 1] }, linear: true },
  { op: 'Expand', shapes: [[2, 1, 4]], constants: { 1: ints(3, 2, 5, 4) }, linear: true },
  { op: 'Reshape', shapes: [[2, 3, 4]], constants: { 1: ints(0, -1, 2) }, linear: true },
  { op: 'Flatten', shapes: [[2, 3, 4]], attributes: { axis: 2 }, linear: true },
  { op: 'Squeeze', shapes: [[2, 1, 3, 1]], constants: { 1: ints(1, -1) }, linear: true },
  { op: 'Unsqueeze', shapes: [[2, 3]], constants: { 1: ints(0, -1) }, linear: true },
];

const reshaped = ({ data }: Array64, shape: readonly number[]): Array64 => ({ shape, data });

export const shapingReferences: References = {
  Transpose: (node, [x = none]) => transpose(x, intsOf(node, 'perm') ?? [...x.shape.keys()].reverse()),
  Expand: (_, [x = none, shape = none]) =>
    make(broadcastShape([x, { shape: shape.data, data: [] }]), (place) => pick(x, place)),
  Reshape: (_, [x = none, shape = none]) => {
    const sizes = shape.data.map((each, axis) => (each === 0 ? (x.shape[axis] ?? 1) : each));
    const rest = x.data.length / size(sizes.filter((each) => each !== -1));
    return reshaped(
      x,
      sizes.map((each) => (each === -1 ? rest : each)),
    );
  },
  Flatten: (node, [x = none]) => {
    const rows = size(x.shape.slice(0, intOf(node, 'axis', 1)));
    return reshaped(x, [rows, x.data.length / rows]);
  },
  Squeeze: (_, [x = none, axes = none]) => {
    const gone = new Set(axes.data.map((axis) => (axis + x.shape.length) % x.shape.length));
    return reshaped(
      x,
      x.shape.filter((each, axis) => (axes.data.length === 0 ? each !== 1 : !gone.has(axis))),
    );
  },
  Unsqueeze: (_, [x = none, axes = none]) => {
    const rank = x.shape.length + axes.data.length;
    const added = new Set(axes.data.map((axis) => (axis + rank) % rank));
    const rest = x.shape.values();
    return reshaped(
      x,
      Array.from({ length: rank }, (__, axis) => (added.has(axis) ? 1 : (rest.next().value ?? NaN))),
    );
  },
};
