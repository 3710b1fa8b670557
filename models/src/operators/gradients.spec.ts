/** Every gradient against central differences of a float64 reference. */
import { assert, asyncProperty, integer } from 'fast-check';

import { random } from '@graft/core/random';
import { elementCount, tensor, type Tensor } from '@graft/core/tensor';

import type { Node } from '../graph/graph.js';
import { gradientsOf, modelOf, relativeError } from '../training/gradient-graph.contract.js';
import type { Attributes } from './graph-builder.js';
import { operatorTable } from './operator-table.js';
import { reference, type Array64 } from './reference.contract.js';

interface Case {
  readonly op: string;
  readonly shapes: readonly (readonly number[])[];
  readonly attributes?: Attributes;
  /** Inputs that are constants: int64 unless they are whole-number bounds of reals. */
  readonly constants?: Readonly<
    Record<number, { dtype: 'int64' | 'float32' | 'bool'; shape: readonly number[]; data: readonly number[] }>
  >;
  /** Values in [low, high]; otherwise [-2, 2]. */
  readonly range?: readonly [number, number];
  /** Inputs that have no gradient. */
  readonly frozen?: readonly number[];
}

const ints = (...data: number[]) => ({ dtype: 'int64', shape: [data.length], data }) as const;
const positive = [0.3, 2] as const;
const image = [1, 4, 4, 5];

/** Elements of an input whose derivative is taken: a difference runs the whole operator twice. */
const sampled = 12;

const unary = [
  'Neg',
  'Abs',
  'Exp',
  'Relu',
  'LeakyRelu',
  'Sigmoid',
  'Tanh',
  'Softplus',
  'HardSigmoid',
  'HardSwish',
  'Gelu',
  'Erf',
  'Identity',
];

const cases: readonly Case[] = [
  ...unary.map((op) => ({ op, shapes: [[3, 4]] })),
  ...['Log', 'Sqrt', 'Reciprocal'].map((op) => ({ op, shapes: [[3, 4]], range: positive })),
  {
    op: 'Clip',
    shapes: [[3, 4]],
    constants: { 1: { dtype: 'float32', shape: [], data: [-1] }, 2: { dtype: 'float32', shape: [], data: [1] } },
  },
  ...['Add', 'Sub', 'Mul', 'Max', 'Min'].flatMap((op) => [
    {
      op,
      shapes: [
        [2, 3, 4],
        [3, 1],
      ],
    },
    {
      op,
      shapes: [
        [1, 4],
        [2, 3, 1],
      ],
    },
  ]),
  {
    op: 'Div',
    shapes: [
      [2, 3],
      [2, 1],
    ],
    range: positive,
  },
  { op: 'Pow', shapes: [[2, 3], [3]], range: positive },
  { op: 'Pow', shapes: [[2, 3]], constants: { 1: { dtype: 'float32', shape: [], data: [2] } } },
  { op: 'Sum', shapes: [[2, 3], [3], [2, 1]] },
  { op: 'Where', shapes: [[], [2, 3], [3]], constants: { 0: { dtype: 'bool', shape: [2, 1], data: [1, 0] } } },
  ...['ReduceSum', 'ReduceMean', 'ReduceMax', 'ReduceMin'].flatMap((op) => [
    { op, shapes: [[2, 3, 4]], constants: { 1: ints(1) }, attributes: { keepdims: 0 } },
    { op, shapes: [[2, 3, 4]], constants: { 1: ints(0, -1) }, attributes: { keepdims: 1 } },
  ]),
  {
    op: 'MatMul',
    shapes: [
      [2, 3, 4],
      [4, 5],
    ],
  },
  {
    op: 'MatMul',
    shapes: [
      [2, 2, 3, 4],
      [2, 4, 5],
    ],
  },
  {
    op: 'MatMul',
    shapes: [
      [3, 4],
      [4, 2],
    ],
  },
  ...[0, 1].flatMap((transA) =>
    [0, 1].map((transB) => ({
      op: 'Gemm',
      shapes: [transA === 1 ? [4, 3] : [3, 4], transB === 1 ? [5, 4] : [4, 5], [5]],
      attributes: { transA, transB, alpha: { float: 0.5 }, beta: { float: 2 } },
    })),
  ),
  { op: 'Conv', shapes: [image, [3, 4, 3, 3], [3]], attributes: { pads: [1, 1, 1, 1] } },
  { op: 'Conv', shapes: [image, [3, 4, 1, 1], [3]] },
  {
    op: 'Conv',
    shapes: [
      [1, 2, 9, 9],
      [3, 2, 1, 1],
    ],
  },
  { op: 'Conv', shapes: [image, [3, 4, 3, 2]], attributes: { strides: [2, 1], pads: [1, 0, 0, 1] } },
  { op: 'Conv', shapes: [image, [2, 4, 2, 2]], attributes: { dilations: [2, 1] } },
  { op: 'Conv', shapes: [image, [2, 4, 2, 2]], attributes: { strides: [2, 2], dilations: [1, 2], pads: [2, 2, 2, 2] } },
  { op: 'Conv', shapes: [image, [4, 1, 3, 3], [4]], attributes: { pads: [1, 1, 1, 1], group: 4 } },
  { op: 'Conv', shapes: [image, [4, 1, 5, 5]], attributes: { pads: [2, 2, 2, 2], strides: [2, 1], group: 4 } },
  { op: 'Conv', shapes: [image, [6, 2, 3, 3], [6]], attributes: { pads: [1, 1, 1, 1], group: 2 } },
  { op: 'Conv', shapes: [image, [8, 1, 2, 3]], attributes: { strides: [1, 2], group: 4 } },
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
  { op: 'Softmax', shapes: [[2, 3, 5]] },
  { op: 'LogSoftmax', shapes: [[4, 5]] },
  { op: 'LayerNormalization', shapes: [[2, 3, 6], [6], [6]] },
  { op: 'BatchNormalization', shapes: [image, [4], [4], [4], [4]], range: positive, frozen: [3, 4] },
  { op: 'Transpose', shapes: [[2, 3, 4]], attributes: { perm: [2, 0, 1] } },
  { op: 'Expand', shapes: [[2, 1, 4]], constants: { 1: ints(3, 2, 5, 4) } },
  {
    op: 'Concat',
    shapes: [
      [2, 3],
      [2, 2],
      [2, 1],
    ],
    attributes: { axis: 1 },
  },
  { op: 'Slice', shapes: [[4, 5]], constants: { 1: ints(1, 2), 2: ints(3, 5), 3: ints(0, 1) } },
  { op: 'Gather', shapes: [[4, 3]], constants: { 1: { dtype: 'int64', shape: [2, 2], data: [0, 3, 3, 1] } } },
  { op: 'Gather', shapes: [[2, 4, 3]], constants: { 1: ints(2, 2, 0) }, attributes: { axis: 1 } },
  { op: 'Pad', shapes: [[2, 3]], constants: { 1: ints(0, 1, 2, 0) } },
];

/** Values away from each other and from the kinks of the operators, which central differences must not step over. */
function valuesOf(shape: readonly number[], seed: number, [low, high]: readonly [number, number]): Float32Array {
  const count = elementCount(shape);
  const places = random(seed).shuffle([...Array(count).keys()]);
  return Float32Array.from(places, (place) => low + ((high - low) * (place + 0.37)) / count);
}

function asTensor({
  dtype,
  shape,
  data,
}: {
  dtype: 'int64' | 'float32' | 'bool';
  shape: readonly number[];
  data: readonly number[];
}): Tensor {
  if (dtype === 'int64') return tensor('int64', shape, BigInt64Array.from(data, BigInt));
  return dtype === 'bool'
    ? tensor('bool', shape, Uint8Array.from(data))
    : tensor('float32', shape, Float32Array.from(data));
}

/** The gradients by ONNX Runtime and by central differences, of the sum of the outputs times fixed numbers. */
async function compare(one: Case, seed: number): Promise<{ index: number; error: number }[]> {
  const places = Math.max(one.shapes.length, ...Object.keys(one.constants ?? {}).map((each) => Number(each) + 1));
  const given = Array.from({ length: places }, (_, i): Tensor => {
    const constant = one.constants?.[i];
    const shape = one.shapes[i] ?? [];
    return constant === undefined
      ? tensor('float32', shape, valuesOf(shape, seed + i, one.range ?? [-2, 2]))
      : asTensor(constant);
  });
  // The first real input is the model's input; a constant in first place is a weight like the others.
  const fed = given.findIndex((_, i) => one.constants?.[i] === undefined);
  const names = given.map((_, i) => (i === fed ? 'x' : `input.${i}`));
  const weights = new Map(given.flatMap((value, i) => (i === fed ? [] : [[names[i] ?? '', value] as const])));
  const model = modelOf(one.shapes[fed] ?? [], weights, {
    output: 'y',
    nodes: (build) => build.add(one.op, names, one.attributes),
  });
  const [node] = model.graph.nodes;
  const run = reference[one.op];
  if (node === undefined || run === undefined) throw new Error(`there is no reference for ${one.op}`);
  const arrays = given.map(({ shape, data }): Array64 => ({
    shape,
    data: Array.from(data as Iterable<number>, Number),
  }));
  const output = run(node, arrays);
  const onto = tensor('float32', output.shape, valuesOf(output.shape, seed + 100, [-1, 1]));
  const wanted = [...given.keys()].filter((i) => one.constants?.[i] === undefined && one.frozen?.includes(i) !== true);
  const objective = { kind: 'projection', output: 'y', onto } as const;
  const x = given[fed];
  if (x?.dtype !== 'float32') throw new Error('the first input must be real');
  const { gradients } = await gradientsOf(model, x, { wanted: wanted.map((i) => names[i] ?? ''), objective });
  return wanted.map((index) => {
    const gradient = gradients.get(names[index] ?? '');
    const shape = given[index]?.shape ?? [];
    if (gradient?.dtype !== 'float32' || gradient.shape.join() !== shape.join()) return { index, error: Infinity };
    const places = random(seed + 200)
      .shuffle([...Array(gradient.data.length).keys()])
      .slice(0, sampled);
    const expected = differences({ node, run, arrays, index, onto: onto.data }, places);
    const found = places.map((place) => gradient.data[place] ?? NaN);
    return { index, error: relativeError(found, expected) };
  });
}

interface Difference {
  readonly node: Node;
  readonly run: NonNullable<(typeof reference)[string]>;
  readonly arrays: readonly Array64[];
  readonly index: number;
  readonly onto: Float32Array;
}

function differences({ node, run, arrays, index, onto }: Difference, places: readonly number[]): number[] {
  const array = arrays[index] ?? { shape: [], data: [] };
  const step = 1e-5;
  const loss = (place: number, moved: number): number => {
    const data = array.data.with(place, (array.data[place] ?? NaN) + moved);
    const output = run(node, arrays.with(index, { shape: array.shape, data })).data;
    return output.reduce((sum, each, j) => sum + each * (onto[j] ?? NaN), 0);
  };
  return places.map((place) => (loss(place, step) - loss(place, -step)) / (2 * step));
}

describe('the gradient of', () => {
  it.each(
    cases.map(
      (one) =>
        [
          `${one.op} ${one.shapes.map((shape) => `[${shape.join()}]`).join(' ')} ${JSON.stringify(one.attributes ?? {})}`,
          one,
        ] as const,
    ),
  )('%s agrees with central differences', async (_, one) => {
    await assert(
      asyncProperty(integer({ min: 0, max: 1e6 }), async (seed) => {
        expect((await compare(one, seed)).filter(({ error }) => !(error <= 1e-5))).toEqual([]);
      }),
      { numRuns: 2 },
    );
  });

  it('every differentiable operator is compared, here or as a reshape or cast', () => {
    const moved = ['Cast', 'Dropout', 'Flatten', 'Reshape', 'Split', 'Squeeze', 'Unsqueeze'];
    const compared = new Set([...cases.map(({ op }) => op), ...moved]);
    const differentiable = Object.entries(operatorTable).filter(([, row]) => row.gradient !== 'not differentiable');
    expect(differentiable.map(([op]) => op).filter((op) => !compared.has(op))).toEqual([]);
  });
});
