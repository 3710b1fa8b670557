/** For specs: the cases of pools whose gradients are compared, and their float64 references. */
import { at, make, mean, none, pick, reduce, size, sum, type Run } from './array64.contract.js';
import { type GradientCase } from './central-differences.contract.js';
import { geometry } from './conv.cases.contract.js';
import type { Node } from '../graph/graph.js';
import { intOf, intsOf } from './site.js';

const image = [1, 4, 4, 5];

export const poolCases: readonly GradientCase[] = [
  { op: 'AveragePool', shapes: [image], attributes: { kernel_shape: [2, 3], strides: [2, 3] } },
  { op: 'AveragePool', shapes: [image], attributes: { kernel_shape: [3, 3], strides: [2, 1], pads: [1, 1, 1, 1] } },
  {
    op: 'AveragePool',
    shapes: [image],
    attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1], count_include_pad: 1 },
  },
  { op: 'MaxPool', shapes: [image], attributes: { kernel_shape: [2, 2], strides: [2, 2] } },
  { op: 'MaxPool', shapes: [image], attributes: { kernel_shape: [3, 3], strides: [1, 2], pads: [1, 1, 1, 1] } },
  { op: 'GlobalAveragePool', shapes: [image] },
  { op: 'GlobalMaxPool', shapes: [image] },
];

const pool =
  (fold: (values: readonly number[], taps: number, node: Node) => number): Run =>
  (node, [x = none]) => {
    const { kernel, output, place } = geometry(node, x.shape.slice(2), intsOf(node, 'kernel_shape') ?? []);
    return make([...x.shape.slice(0, 2), ...output], ([n = 0, c = 0, ...position]) => {
      const seen = Array.from({ length: size(kernel) }, (_, i) => [n, c, ...place(position, at(i, kernel))]);
      const inside = seen.filter((each) => each.every((one, axis) => one >= 0 && one < (x.shape[axis] ?? 0)));
      return fold(
        inside.map((each) => pick(x, each)),
        seen.length,
        node,
      );
    });
  };

const global =
  (fold: (values: readonly number[]) => number): Run =>
  (node, [x = none]) =>
    reduce(fold)({ ...node, attributes: {} }, [x, { shape: [2], data: [2, 3] }]);

/** Of one result each. */
export const poolReferences: Readonly<Record<string, Run>> = {
  AveragePool: pool((values, taps, node) =>
    intOf(node, 'count_include_pad', 0) === 1 ? sum(values) / taps : mean(values),
  ),
  MaxPool: pool((values) => Math.max(...values)),
  GlobalAveragePool: global(mean),
  GlobalMaxPool: global((values) => Math.max(...values)),
};
