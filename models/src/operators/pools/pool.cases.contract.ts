/** For specs: the cases of pools whose gradients are compared, and their float64 references. */
import type { Node } from '../../graph/graph.js';
import { at, make, mean, none, pick, reduce, size, sum, type Reference, type Run } from '../array64.contract.js';
import { constant, ints, type GradientCase } from '../central-differences.contract.js';
import { intOf, intsOf, stringOf } from '../site.js';

const image = [1, 4, 4, 5];
const uneven = [2, 2, 5, 7];
const line = [2, 3, 9];
const volume = [1, 2, 3, 4, 5];

/** Windows that overlap, leave gaps, reach into padding and past the end, over lines, planes and volumes. */
const windows: readonly Pick<GradientCase, 'shapes' | 'attributes' | 'note'>[] = [
  { shapes: [image], attributes: { kernel_shape: [2, 3], strides: [2, 3] } },
  { shapes: [image], attributes: { kernel_shape: [3, 3], strides: [2, 1], pads: [1, 1, 1, 1] } },
  { shapes: [image], attributes: { kernel_shape: [3, 2], strides: [2, 2], pads: [0, 1, 1, 0] } },
  { shapes: [uneven], attributes: { kernel_shape: [2, 2], strides: [2, 2] }, note: 'that leaves the last pixels out' },
  { shapes: [uneven], attributes: { kernel_shape: [2, 2], strides: [2, 2], ceil_mode: 1 } },
  { shapes: [uneven], attributes: { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1, pads: [1, 0, 0, 1] } },
  { shapes: [uneven], attributes: { kernel_shape: [3, 3], strides: [2, 2], auto_pad: 'SAME_UPPER' } },
  { shapes: [uneven], attributes: { kernel_shape: [2, 3], strides: [2, 1], auto_pad: 'SAME_LOWER' } },
  { shapes: [uneven], attributes: { kernel_shape: [3, 3], strides: [1, 2], auto_pad: 'VALID' } },
  { shapes: [uneven], attributes: { kernel_shape: [2, 3], dilations: [2, 3] } },
  { shapes: [line], attributes: { kernel_shape: [3], strides: [3] } },
  { shapes: [line], attributes: { kernel_shape: [4], strides: [2], pads: [1, 2] } },
  { shapes: [volume], attributes: { kernel_shape: [1, 2, 2], strides: [1, 2, 2] } },
  { shapes: [volume], attributes: { kernel_shape: [2, 2, 3], strides: [1, 2, 1], pads: [0, 1, 1, 1, 0, 1] } },
];

const noDilation = windows.filter(({ attributes }) => attributes?.['dilations'] === undefined);

export const poolCases: readonly GradientCase[] = [
  ...windows.map((one) => ({ op: 'AveragePool', linear: true, ...one })),
  ...windows
    .filter(({ attributes }) => attributes?.['pads'] !== undefined)
    .map((one) => ({
      op: 'AveragePool',
      linear: true,
      ...one,
      attributes: { ...one.attributes, count_include_pad: 1 },
    })),
  { op: 'AveragePool', shapes: [image], attributes: { kernel_shape: [2, 2] }, symbols: { 0: ['batch', 4, 4, 5] } },
  ...windows.map((one) => ({ op: 'MaxPool', ...one })),
  { op: 'MaxPool', shapes: [uneven], attributes: { kernel_shape: [2, 2], storage_order: 1 } },
  {
    op: 'MaxPool',
    shapes: [image],
    attributes: { kernel_shape: [2, 2], strides: [2, 2] },
    symbols: { 0: ['batch', 4, 'height', 'width'] },
  },
  {
    op: 'MaxPool',
    shapes: [uneven],
    attributes: { kernel_shape: [2, 2], strides: [2, 2] },
    symbols: { 0: ['batch', 2, 5, 7] },
  },
  ...noDilation.slice(0, 5).map((one) => ({ op: 'LpPool', ...one })),
  { op: 'LpPool', shapes: [line], attributes: { kernel_shape: [3], strides: [3], p: 3 } },
  { op: 'LpPool', shapes: [image], attributes: { kernel_shape: [3, 3], pads: [1, 1, 1, 1], p: 1 } },
  ...[image, line, volume].flatMap((shape) =>
    ['GlobalAveragePool', 'GlobalMaxPool', 'GlobalLpPool'].map((op) => ({ op, shapes: [shape] })),
  ),
  { op: 'GlobalLpPool', shapes: [image], attributes: { p: 3 } },
  { op: 'GlobalAveragePool', shapes: [image], symbols: { 0: ['batch', 4, 'height', 'width'] }, linear: true },
  {
    op: 'MaxUnpool',
    shapes: [[1, 1, 2, 2]],
    constants: { 1: constant('int64', [1, 1, 2, 2], [5, 7, 13, 15]) },
    attributes: { kernel_shape: [2, 2], strides: [2, 2] },
    linear: true,
  },
  {
    op: 'MaxUnpool',
    shapes: [[1, 1, 2, 2]],
    constants: { 1: constant('int64', [1, 1, 2, 2], [6, 8, 16, 18]), 2: ints(1, 1, 5, 5) },
    attributes: { kernel_shape: [2, 2], strides: [2, 2] },
    linear: true,
  },
];

interface Geometry {
  readonly output: readonly number[];
  /** First input place of the window at each output place. */
  readonly first: (position: readonly number[]) => number[];
  readonly kernel: readonly number[];
  readonly dilations: readonly number[];
  /** Size with the padding behind, counted from the first element. */
  readonly end: readonly number[];
}

function geometryOf(node: Node, spatial: readonly number[]): Geometry {
  const rank = spatial.length;
  const ones = Array<number>(rank).fill(1);
  const kernel = intsOf(node, 'kernel_shape') ?? ones;
  const [strides, dilations] = [intsOf(node, 'strides') ?? ones, intsOf(node, 'dilations') ?? ones];
  const mode = stringOf(node, 'auto_pad', 'NOTSET');
  const ceil = intOf(node, 'ceil_mode', 0) === 1;
  const axes = spatial.map((input, i) => {
    const stride = strides[i] ?? 1;
    const extent = ((kernel[i] ?? 1) - 1) * (dilations[i] ?? 1) + 1;
    const total = Math.max(0, (Math.ceil(input / stride) - 1) * stride + extent - input);
    const less = Math.floor(total / 2);
    const given = [intsOf(node, 'pads')?.[i] ?? 0, intsOf(node, 'pads')?.[i + rank] ?? 0];
    const same = mode === 'SAME_UPPER' ? [less, total - less] : [total - less, less];
    const [begin = 0, end = 0] = mode.startsWith('SAME') ? same : mode === 'VALID' ? [0, 0] : given;
    const steps = (input + begin + end - extent) / stride;
    const count = (ceil ? Math.ceil(steps) : Math.floor(steps)) + 1;
    return {
      stride,
      begin,
      end: input + end,
      output: ceil && (count - 1) * stride >= input + begin ? count - 1 : count,
    };
  });
  return {
    kernel,
    dilations,
    output: axes.map(({ output }) => output),
    end: axes.map(({ end }) => end),
    first: (position) => position.map((each, i) => each * (axes[i]?.stride ?? 1) - (axes[i]?.begin ?? 0)),
  };
}

/** Folds what each window sees, and how many places it has inside of the padding. */
const pool =
  (fold: (values: readonly number[], places: number, node: Node) => number): Run =>
  (node, [x = none]) => {
    const { kernel, dilations, output, first, end } = geometryOf(node, x.shape.slice(2));
    return make([...x.shape.slice(0, 2), ...output], ([n = 0, c = 0, ...position]) => {
      const begin = first(position);
      const seen = Array.from({ length: size(kernel) }, (_, i) =>
        at(i, kernel).map((tap, axis) => (begin[axis] ?? 0) + tap * (dilations[axis] ?? 1)),
      );
      const inside = seen.filter((each) => each.every((one, axis) => one >= 0 && one < (x.shape[axis + 2] ?? 0)));
      const padded = seen.filter((each) => each.every((one, axis) => one < (end[axis] ?? 0)));
      return fold(
        inside.map((each) => pick(x, [n, c, ...each])),
        padded.length,
        node,
      );
    });
  };

const norm = (values: readonly number[], node: Node): number => {
  const p = intOf(node, 'p', 2);
  return sum(values.map((each) => Math.abs(each) ** p)) ** (1 / p);
};

const global =
  (fold: (values: readonly number[], node: Node) => number): Run =>
  (node, [x = none]) => {
    const axes = x.shape.slice(2).map((_, i) => i + 2);
    return reduce((values) => fold(values, node))({ ...node, attributes: {} }, [
      x,
      { shape: [axes.length], data: axes },
    ]);
  };

const unpool: Reference = (node, [x = none, places = none, shape]) => {
  const spatial = x.shape.slice(2).map((each, i) => {
    const stride = intsOf(node, 'strides')?.[i] ?? 1;
    return (each - 1) * stride + (intsOf(node, 'kernel_shape')?.[i] ?? 1);
  });
  const to = shape?.data ?? [...x.shape.slice(0, 2), ...spatial];
  const data = Array<number>(size(to)).fill(0);
  for (const [i, place] of places.data.entries()) data[place] = x.data[i] ?? NaN;
  return { shape: to, data };
};

export const poolReferences: Readonly<Record<string, Reference>> = {
  AveragePool: pool((values, places, node) =>
    intOf(node, 'count_include_pad', 0) === 1 ? sum(values) / places : mean(values),
  ),
  MaxPool: pool((values) => Math.max(...values)),
  LpPool: pool((values, _, node) => norm(values, node)),
  GlobalAveragePool: global(mean),
  GlobalMaxPool: global((values) => Math.max(...values)),
  GlobalLpPool: global(norm),
  MaxUnpool: unpool,
};
