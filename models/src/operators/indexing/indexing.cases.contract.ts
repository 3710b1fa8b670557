/** For specs: the cases of operators that take tensors apart and put them together whose gradients are compared. */
import { constant, ints, type GradientCase } from '../central-differences.contract.js';

const cube = { 0: ['batch', 'rows', 'columns'] };
const end = 2 ** 31 - 1;

/** Starts, ends, axes and steps of a Slice. */
const slices: readonly (readonly [number[], number[], number[], number[]])[] = [
  [
    [1, 2],
    [3, 5],
    [0, 1],
    [1, 1],
  ],
  [[-3], [-1], [1], [1]],
  [[0], [end], [1], [2]],
  [[1], [end], [1], [3]],
  [[-1], [-end], [1], [-1]],
  [[4], [0], [1], [-2]],
  [
    [-1, 1],
    [-end, 4],
    [1, 0],
    [-3, 2],
  ],
  [[2], [2], [0], [1]],
  [[0], [end], [0], [1]],
];

const slicing: readonly GradientCase[] = [
  ...slices.map(([starts, ends, axes, steps]): GradientCase => ({
    op: 'Slice',
    shapes: [[4, 5]],
    constants: { 1: ints(...starts), 2: ints(...ends), 3: ints(...axes), 4: ints(...steps) },
    linear: true,
    note: JSON.stringify([starts, ends, axes, steps]),
  })),
  ...slices.map(([starts, ends, axes, steps]): GradientCase => ({
    op: 'Slice',
    shapes: [[4, 5, 2]],
    constants: { 1: ints(...starts), 2: ints(...ends), 3: ints(...axes), 4: ints(...steps) },
    symbols: { 0: ['batch', 'length', 2] },
    linear: true,
    note: JSON.stringify([starts, ends, axes, steps]),
  })),
  {
    op: 'Slice',
    shapes: [[2, 6, 3]],
    constants: { 1: ints(1), 2: ints(6), 3: ints(1), 4: ints(2) },
    symbols: { 0: ['batch', 6, 'width'] },
    linear: true,
    note: 'of a known axis between symbols',
  },
  { op: 'Slice', shapes: [[4, 5]], constants: { 1: ints(1), 2: ints(3) }, linear: true, note: 'without axes' },
];

const joining: readonly GradientCase[] = [
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
  {
    op: 'Concat',
    shapes: [
      [2, 3],
      [4, 3],
    ],
    attributes: { axis: -2 },
    symbols: { 0: ['a', 3], 1: ['b', 3] },
    linear: true,
  },
  { op: 'Concat', shapes: [[2, 3]], attributes: { axis: 1 }, linear: true },
  { op: 'Split', shapes: [[2, 5]], constants: { 1: ints(2, 0, 3) }, attributes: { axis: 1 }, outputs: 3, linear: true },
  { op: 'Split', shapes: [[5, 2]], attributes: { num_outputs: 2 }, outputs: 2, linear: true, note: 'in equal parts' },
  { op: 'Split', shapes: [[4, 2]], constants: { 1: ints(1, 3) }, outputs: 2, projected: [1], note: 'by one part' },
  {
    op: 'Split',
    shapes: [[2, 4]],
    attributes: { axis: -1, num_outputs: 2 },
    outputs: 2,
    symbols: { 0: ['batch', 'width'] },
    linear: true,
  },
];

const gathering: readonly GradientCase[] = [
  { op: 'Gather', shapes: [[4, 3]], constants: { 1: constant('int64', [2, 2], [0, 3, 3, 1]) }, linear: true },
  { op: 'Gather', shapes: [[2, 4, 3]], constants: { 1: ints(2, 2, 0) }, attributes: { axis: 1 }, linear: true },
  { op: 'Gather', shapes: [[2, 4, 3]], constants: { 1: ints(-1, 2, -1) }, attributes: { axis: -1 }, linear: true },
  {
    op: 'Gather',
    shapes: [[2, 4, 3]],
    constants: { 1: constant('int64', [], [-1]) },
    attributes: { axis: 1 },
    linear: true,
  },
  {
    op: 'Gather',
    shapes: [[2, 4]],
    constants: { 1: constant('int64', [1, 1], [2]) },
    attributes: { axis: 1 },
    linear: true,
  },
  {
    op: 'Gather',
    shapes: [[2, 4, 3]],
    constants: { 1: constant('int64', [], [0]) },
    attributes: { axis: 1 },
    symbols: cube,
    linear: true,
  },
  {
    op: 'Gather',
    shapes: [[2, 4, 3]],
    constants: { 1: constant('int32', [2, 2], [0, 1, 1, -2]) },
    attributes: { axis: 2 },
    symbols: cube,
    linear: true,
  },
  {
    op: 'GatherElements',
    shapes: [[3, 3]],
    constants: { 1: constant('int64', [2, 3], [1, 2, 0, -1, 2, 0]) },
    linear: true,
  },
  {
    op: 'GatherElements',
    shapes: [[2, 4]],
    constants: { 1: constant('int64', [2, 2], [1, 1, 0, 3]) },
    attributes: { axis: -1 },
    symbols: { 0: ['batch', 'width'] },
    linear: true,
  },
  { op: 'GatherND', shapes: [[3, 4]], constants: { 1: constant('int64', [3, 2], [0, 1, 2, -1, 0, 1]) }, linear: true },
  { op: 'GatherND', shapes: [[3, 4]], constants: { 1: constant('int64', [2, 2, 1], [0, 1, 2, 2]) }, linear: true },
  {
    op: 'GatherND',
    shapes: [[2, 3, 4]],
    constants: { 1: constant('int64', [2, 2, 1], [0, 2, 1, 1]) },
    attributes: { batch_dims: 1 },
    symbols: cube,
    linear: true,
  },
  {
    op: 'GatherND',
    shapes: [[2, 3, 4]],
    constants: { 1: constant('int64', [2, 3, 1], [0, 2, 1, 1, 3, 3]) },
    attributes: { batch_dims: 2 },
    linear: true,
  },
  {
    op: 'Compress',
    shapes: [[3, 2]],
    constants: { 1: constant('bool', [3], [1, 0, 1]) },
    attributes: { axis: 0 },
    linear: true,
  },
  {
    op: 'Compress',
    shapes: [[2, 3]],
    constants: { 1: constant('bool', [3], [0, 1, 1]) },
    attributes: { axis: 1 },
    linear: true,
  },
  { op: 'Compress', shapes: [[2, 3]], constants: { 1: constant('bool', [5], [1, 0, 0, 1, 1]) }, linear: true },
];

const reductions = ['none', 'add', 'mul', 'max', 'min'];

const scattering = reductions.flatMap((reduction): GradientCase[] => {
  const linear = reduction === 'none' || reduction === 'add';
  // Without a reduction each place is written at most once.
  const indices = reduction === 'none' ? [1, 0, 2, 0, 2, 1] : [1, 0, 2, 1, 2, 1];
  return [
    {
      op: 'ScatterElements',
      shapes: [[3, 3], [], [2, 3]],
      constants: { 1: constant('int64', [2, 3], indices) },
      attributes: { reduction },
      linear,
    },
    {
      op: 'ScatterElements',
      shapes: [[2, 4], [], [2, 2]],
      constants: { 1: constant('int64', [2, 2], reduction === 'none' ? [1, -1, 0, 2] : [1, 1, 0, -1]) },
      attributes: { reduction, axis: 1 },
      symbols: { 0: ['batch', 'width'] },
      linear,
    },
    {
      op: 'ScatterND',
      shapes: [[4, 2], [], [3, 2]],
      constants: { 1: constant('int64', [3, 1], reduction === 'none' ? [1, 3, 0] : [1, 3, 1]) },
      attributes: { reduction },
      linear,
    },
  ];
});

const modes = ['reflect', 'edge', 'wrap'];

const padding: readonly GradientCase[] = [
  { op: 'Pad', shapes: [[2, 3]], constants: { 1: ints(0, 1, 2, 0) }, linear: true },
  { op: 'Pad', shapes: [[3, 4]], constants: { 1: ints(-1, 1, 2, -2) }, linear: true, note: 'of negative amounts' },
  { op: 'Pad', shapes: [[3, 4], [], []], constants: { 1: ints(1, -1, 2, 1) }, linear: true, note: 'by its value' },
  {
    op: 'Pad',
    shapes: [[2, 3, 4]],
    constants: { 1: ints(1, 2), 2: 'left out', 3: ints(-1) },
    symbols: cube,
    linear: true,
  },
  ...modes.flatMap((mode): GradientCase[] => [
    { op: 'Pad', shapes: [[3, 4]], constants: { 1: ints(1, 2, 2, 3) }, attributes: { mode }, linear: true },
    {
      op: 'Pad',
      shapes: [[2, 4, 3]],
      constants: { 1: ints(2, 1), 2: 'left out', 3: ints(1) },
      attributes: { mode },
      symbols: cube,
      linear: true,
    },
  ]),
];

const marking: readonly GradientCase[] = [
  { op: 'OneHot', shapes: [[], [], [2]], constants: { 0: ints(1, 0, 2), 1: constant('int64', [], [3]) }, linear: true },
  {
    op: 'OneHot',
    shapes: [[], [], [2]],
    constants: { 0: constant('int64', [2, 2], [1, 0, 2, -1]), 1: ints(4) },
    attributes: { axis: 1 },
    linear: true,
  },
];

export const indexingCases: readonly GradientCase[] = [
  ...slicing,
  ...joining,
  ...gathering,
  ...scattering,
  ...padding,
  ...marking,
];
