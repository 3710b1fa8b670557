/** For specs: the cases of operators that keep some elements whose gradients are compared, and their float64 references. */
import { at, make, none, pick, type References } from '../array64.contract.js';
import { ints, type GradientCase } from '../central-differences.contract.js';
import { intOf } from '../site.js';

const topK = (shape: readonly number[], count: number, rest: Partial<GradientCase> = {}): GradientCase => ({
  op: 'TopK',
  shapes: [shape, []],
  constants: { 1: ints(count) },
  outputs: 2,
  projected: [0],
  ...rest,
});

export const selectionCases: readonly GradientCase[] = [
  topK([2, 3, 6], 2),
  topK([2, 5, 3], 4, { attributes: { axis: 1 } }),
  topK([4, 3], 2, { attributes: { axis: 0, largest: 0 } }),
  topK([3, 4], 2, { symbols: { 0: ['batch', 4] } }),
];

export const selectionReferences: References = {
  TopK: (node, [x = none, count = none]) => {
    const axis = (intOf(node, 'axis', -1) + x.shape.length) % x.shape.length;
    const sign = intOf(node, 'largest', 1) === 1 ? -1 : 1;
    const shape = x.shape.with(axis, count.data[0] ?? 0);
    const order = (place: readonly number[]): number[] => {
      const line = Array.from({ length: x.shape[axis] ?? 0 }, (_, i) => i);
      return line.sort((a, b) => sign * (pick(x, place.with(axis, a)) - pick(x, place.with(axis, b))));
    };
    const indices = make(shape, (place) => order(place)[place[axis] ?? 0] ?? NaN);
    const values = indices.data.map((index, i) => pick(x, at(i, shape).with(axis, index)));
    return [{ shape, data: values }, indices];
  },
};
