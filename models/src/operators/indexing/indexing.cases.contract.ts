/** For specs: the cases of operators that take tensors apart and put them together whose gradients are compared, and their float64 references. */
import { make, none, pick, pickInside, sum, type Array64, type References } from '../array64.contract.js';
import { constant, ints, type GradientCase } from '../central-differences.contract.js';
import { intOf } from '../site.js';

export const indexingCases: readonly GradientCase[] = [
  {
    op: 'Concat',
    shapes: [
      [2, 3],
      [2, 2],
      [2, 1],
    ],
    attributes: { axis: 1 },
    linear: true,
  },
  { op: 'Split', shapes: [[2, 5]], constants: { 1: ints(2, 0, 3) }, attributes: { axis: 1 }, outputs: 3, linear: true },
  { op: 'Slice', shapes: [[4, 5]], constants: { 1: ints(1, 2), 2: ints(3, 5), 3: ints(0, 1) }, linear: true },
  { op: 'Gather', shapes: [[4, 3]], constants: { 1: constant('int64', [2, 2], [0, 3, 3, 1]) }, linear: true },
  { op: 'Gather', shapes: [[2, 4, 3]], constants: { 1: ints(2, 2, 0) }, attributes: { axis: 1 }, linear: true },
  { op: 'Pad', shapes: [[2, 3]], constants: { 1: ints(0, 1, 2, 0) }, linear: true },
];

export const indexingReferences: References = {
  Concat: (node, given) => {
    const inputs = given.filter((input) => input !== undefined);
    const axis = intOf(node, 'axis', 0);
    const shape = (inputs[0]?.shape ?? []).map((each, i) =>
      i === axis ? sum(inputs.map((one) => one.shape[axis] ?? 0)) : each,
    );
    return make(shape, (place) => {
      let index = place[axis] ?? 0;
      for (const input of inputs) {
        const length = input.shape[axis] ?? 0;
        if (index < length) return pick(input, place.with(axis, index));
        index -= length;
      }
      return NaN;
    });
  },
  Split: (node, [x = none, sizes = none]): Array64[] => {
    const axis = intOf(node, 'axis', 0);
    return sizes.data.map((length, part) => {
      const start = sum(sizes.data.slice(0, part));
      return make(x.shape.with(axis, length), (place) => pick(x, place.with(axis, (place[axis] ?? 0) + start)));
    });
  },
  Slice: (_, [x = none, starts = none, ends = none, axes = none]) => {
    const start = x.shape.map((__, axis) => starts.data[axes.data.indexOf(axis)] ?? 0);
    const shape = x.shape.map((each, axis) => (ends.data[axes.data.indexOf(axis)] ?? each) - (start[axis] ?? 0));
    return make(shape, (place) =>
      pick(
        x,
        place.map((each, axis) => each + (start[axis] ?? 0)),
      ),
    );
  },
  Gather: (node, [x = none, indices = none]) => {
    const axis = intOf(node, 'axis', 0);
    const shape = [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)];
    return make(shape, (place) => {
      const index = pick(indices, place.slice(axis, axis + indices.shape.length));
      return pick(x, [...place.slice(0, axis), index, ...place.slice(axis + indices.shape.length)]);
    });
  },
  Pad: (_, [x = none, amounts = none]) => {
    const rank = x.shape.length;
    const shape = x.shape.map((each, axis) => each + (amounts.data[axis] ?? 0) + (amounts.data[axis + rank] ?? 0));
    return make(shape, (place) =>
      pickInside(
        x,
        place.map((each, axis) => each - (amounts.data[axis] ?? 0)),
      ),
    );
  },
};
