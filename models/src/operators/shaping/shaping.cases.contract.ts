/** For specs: the cases of operators that give numbers another shape whose gradients are compared, and their float64 references. */
import {
  broadcastShape,
  make,
  none,
  pick,
  pickInside,
  size,
  transpose,
  type Array64,
  type References,
} from '../array64.contract.js';
import { constant, ints, type GradientCase } from '../central-differences.contract.js';
import { intOf, intsOf, stringOf } from '../site.js';

const symbolic = { 0: ['batch', 'rows', 'columns'] };

export const shapingCases: readonly GradientCase[] = [
  { op: 'Transpose', shapes: [[2, 3, 4]], attributes: { perm: [2, 0, 1] }, linear: true },
  { op: 'Transpose', shapes: [[2, 3, 4]], symbols: symbolic, linear: true },
  { op: 'Expand', shapes: [[2, 1, 4]], constants: { 1: ints(3, 2, 5, 4) }, linear: true },
  { op: 'Expand', shapes: [[2, 1, 4]], constants: { 1: ints(3, 1, 5, 1) }, symbols: symbolic, linear: true },
  { op: 'Tile', shapes: [[2, 3]], constants: { 1: ints(3, 2) }, linear: true },
  { op: 'Tile', shapes: [[2, 3, 4]], constants: { 1: ints(1, 2, 1) }, linear: true },
  { op: 'Tile', shapes: [[2, 3, 4]], constants: { 1: ints(2, 1, 3) }, symbols: symbolic, linear: true },
  { op: 'Reshape', shapes: [[2, 3, 4]], constants: { 1: ints(0, -1, 2) }, linear: true },
  { op: 'Reshape', shapes: [[2, 3, 4]], constants: { 1: ints(0, -1) }, symbols: symbolic, linear: true },
  { op: 'Flatten', shapes: [[2, 3, 4]], attributes: { axis: 2 }, linear: true },
  { op: 'Flatten', shapes: [[2, 3, 4]], attributes: { axis: -2 }, linear: true },
  { op: 'Squeeze', shapes: [[2, 1, 3, 1]], constants: { 1: ints(1, -1) }, linear: true },
  { op: 'Squeeze', shapes: [[2, 1, 3, 1]], linear: true },
  { op: 'Unsqueeze', shapes: [[2, 3]], constants: { 1: ints(0, -1) }, linear: true },
  { op: 'EyeLike', shapes: [[3, 4]], attributes: { k: 1 } },
  ...['DCR', 'CRD'].map((mode) => ({
    op: 'DepthToSpace',
    shapes: [[2, 8, 2, 3]],
    attributes: { blocksize: 2, mode },
    symbols: { 0: ['batch', 8, 'height', 'width'] },
    linear: true,
  })),
  { op: 'SpaceToDepth', shapes: [[2, 2, 4, 6]], attributes: { blocksize: 2 }, linear: true },
  {
    op: 'ReverseSequence',
    shapes: [[4, 3, 2]],
    constants: { 1: ints(1, 4, 3) },
    attributes: { batch_axis: 1, time_axis: 0 },
    linear: true,
  },
  { op: 'Trilu', shapes: [[2, 3, 4]], constants: { 1: constant('int64', [], [1]) }, linear: true },
  { op: 'Trilu', shapes: [[3, 4]], attributes: { upper: 0 }, linear: true },
  { op: 'CenterCropPad', shapes: [[4, 5, 3]], constants: { 1: ints(7, 2, 3) }, linear: true },
  { op: 'CenterCropPad', shapes: [[3, 5]], constants: { 1: ints(2) }, attributes: { axes: [-1] }, linear: true },
  { op: 'CenterCropPad', shapes: [[3, 4]], constants: { 1: ints(6) }, attributes: { axes: [0] }, linear: true },
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
  Tile: (_, [x = none, repeats = none]) =>
    make(
      x.shape.map((each, axis) => each * (repeats.data[axis] ?? 1)),
      (place) =>
        pick(
          x,
          place.map((each, axis) => each % (x.shape[axis] ?? 1)),
        ),
    ),
  EyeLike: (node, [x = none]) =>
    make(x.shape, ([row = 0, column = 0]) => (column - row === intOf(node, 'k', 0) ? 1 : 0)),
  DepthToSpace: (node, [x = none]) => {
    const block = intOf(node, 'blocksize', 1);
    const [batch = 1, all = 1, height = 1, width = 1] = x.shape;
    const channels = all / block ** 2;
    return make([batch, channels, height * block, width * block], ([n = 0, c = 0, row = 0, column = 0]) => {
      const within = (row % block) * block + (column % block);
      const channel = stringOf(node, 'mode', 'DCR') === 'DCR' ? within * channels + c : c * block ** 2 + within;
      return pick(x, [n, channel, Math.floor(row / block), Math.floor(column / block)]);
    });
  },
  SpaceToDepth: (node, [x = none]) => {
    const block = intOf(node, 'blocksize', 1);
    const [batch = 1, channels = 1, height = 1, width = 1] = x.shape;
    const shape = [batch, channels * block ** 2, height / block, width / block];
    return make(shape, ([n = 0, deep = 0, row = 0, column = 0]) => {
      const within = Math.floor(deep / channels);
      return pick(x, [n, deep % channels, row * block + Math.floor(within / block), column * block + (within % block)]);
    });
  },
  /** Time first, then batch. */
  ReverseSequence: (_, [x = none, lengths = none]) =>
    make(x.shape, ([time = 0, n = 0, ...rest]) => {
      const length = lengths.data[n] ?? 0;
      return pick(x, [time < length ? length - 1 - time : time, n, ...rest]);
    }),
  Trilu: (node, [x = none, diagonal]) =>
    make(x.shape, (place) => {
      const [row = 0, column = 0] = place.slice(-2);
      const offset = column - row - (diagonal?.data[0] ?? 0);
      return (intOf(node, 'upper', 1) === 1 ? offset >= 0 : offset <= 0) ? pick(x, place) : 0;
    }),
  CenterCropPad: (node, [x = none, target = none]) => {
    const axes = (intsOf(node, 'axes') ?? [...x.shape.keys()]).map((axis) => (axis + x.shape.length) % x.shape.length);
    const shape = x.shape.map((each, axis) => target.data[axes.indexOf(axis)] ?? each);
    const moved = (place: number, axis: number): number => {
      const from = x.shape[axis] ?? 0;
      const to = shape[axis] ?? 0;
      return from > to ? place + Math.floor((from - to) / 2) : place - Math.floor((to - from) / 2);
    };
    return make(shape, (place) => pickInside(x, place.map(moved)));
  },
};
