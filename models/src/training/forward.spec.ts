/** The other form of small planes against the operators it stands for, in ONNX Runtime and in the float64 reference. */
import { assert, asyncProperty, boolean, constantFrom, integer, record, tuple } from 'fast-check';

import { random } from '@graft/core/random';
import { elementCount, tensor, type Tensor } from '@graft/core/tensor';

import type { Model, Node } from '../graph/graph.js';
import { GraphBuilder, type Attributes } from '../operators/graph-builder.js';
import { declarationsOf, inferShapes } from '../operators/infer-shapes.js';
import type { Array64, References } from '../operators/array64.contract.js';
import { convReferences } from '../operators/conv.cases.contract.js';
import { poolReferences } from '../operators/pools/pool.cases.contract.js';
import { onnxRuntime } from '../runtime/onnxruntime.adapter.js';
import { buildTrainingStep } from './build-training-step.js';
import { addForward } from './forward.js';
import { gradientsOf, modelOf, relativeError } from './gradient-graph.contract.js';

const reference: References = { ...convReferences, ...poolReferences };

interface Case {
  readonly op: 'Conv' | 'AveragePool';
  readonly input: readonly number[];
  readonly attributes?: Attributes;
  /** Of a Conv. */
  readonly weight?: readonly number[];
  readonly bias?: boolean;
  /** What auto_pad comes to, for the reference, which knows pads only. */
  readonly pads?: readonly number[];
}

const conv = (input: readonly number[], kernel: number, attributes: Attributes = {}): Case => {
  const [, channels = 1] = input;
  return { op: 'Conv', input, weight: [channels, 1, kernel, kernel], attributes: { group: channels, ...attributes } };
};
const pool = (input: readonly number[], kernel: readonly number[], attributes: Attributes = {}): Case => ({
  op: 'AveragePool',
  input,
  attributes: { kernel_shape: kernel, ...attributes },
});

const rewritten: readonly Case[] = [
  ...[3, 5].flatMap((kernel) =>
    [
      [1, 1],
      [2, 1],
      [2, 2],
    ].map((strides) => conv([2, 2, 7, 8], kernel, { strides, pads: Array<number>(4).fill((kernel - 1) / 2) })),
  ),
  { ...conv([2, 3, 8, 8], 3, { pads: [1, 1, 1, 1] }), bias: true },
  { ...conv([1, 2, 5, 9], 5, { pads: [0, 1, 3, 2], strides: [2, 1] }), bias: true },
  conv([2, 3, 9, 7], 3, { pads: [2, 0, 1, 3], strides: [2, 2] }),
  conv([2, 3, 9, 7], 3, { pads: [2, 1, 2, 1], dilations: [2, 1] }),
  conv([2, 2, 8, 7], 3, { pads: [1, 4, 2, 0], dilations: [1, 3], strides: [2, 2] }),
  { ...conv([2, 2, 7, 6], 3, { auto_pad: 'SAME_UPPER', strides: [2, 2] }), pads: [1, 0, 1, 1] },
  { ...conv([2, 2, 7, 6], 3, { auto_pad: 'SAME_LOWER', strides: [2, 2] }), pads: [1, 1, 1, 0] },
  conv([2, 2, 7, 6], 5, { auto_pad: 'VALID' }),
  conv([2, 3, 1, 1], 3, { pads: [1, 1, 1, 1] }),
  { op: 'Conv', input: [2, 3, 1, 12], weight: [3, 1, 1, 5], attributes: { group: 3, pads: [0, 2, 0, 2] } },
  pool([2, 3, 8, 8], [2, 2], { strides: [2, 2] }),
  pool([2, 3, 7, 9], [2, 2], { strides: [2, 2] }),
  pool([2, 3, 7, 7], [7, 7]),
  ...[0, 1].flatMap((count_include_pad) => [
    pool([2, 3, 7, 5], [3, 3], { strides: [1, 1], pads: [1, 1, 1, 1], count_include_pad }),
    pool([2, 3, 7, 8], [3, 3], { strides: [2, 1], pads: [0, 1, 2, 0], count_include_pad }),
    pool([2, 3, 9, 6], [3, 2], { strides: [2, 2], pads: [1, 0, 1, 1], dilations: [2, 1], count_include_pad }),
  ]),
];

const kept: readonly [string, Case][] = [
  ['a depthwise Conv over a plane above the threshold', conv([1, 2, 9, 8], 3, { pads: [1, 1, 1, 1] })],
  ['an AveragePool over a plane above the threshold', pool([1, 2, 32, 32], [3, 3], { strides: [8, 8] })],
  ['a Conv of one group', { op: 'Conv', input: [1, 2, 5, 5], weight: [2, 2, 3, 3] }],
  ['a Conv of one channel', conv([2, 1, 5, 5], 3)],
  ['a Conv of wider groups', { op: 'Conv', input: [1, 4, 5, 5], weight: [4, 2, 3, 3], attributes: { group: 2 } }],
  [
    'a depthwise Conv of two filters a channel',
    { op: 'Conv', input: [1, 2, 5, 5], weight: [4, 1, 3, 3], attributes: { group: 2 } },
  ],
  ['an AveragePool that rounds up', pool([1, 2, 6, 6], [3, 3], { strides: [2, 2], ceil_mode: 1 })],
  ['a window along one axis', { op: 'AveragePool', input: [1, 2, 8], attributes: { kernel_shape: [2] } }],
  ['an AveragePool of more taps than are worth a list', pool([1, 2, 4, 4], [300, 300], { pads: [299, 299, 0, 0] })],
  ['a depthwise Conv of more taps than are worth a matrix', conv([1, 2, 8, 8], 31, { pads: [15, 15, 15, 15] })],
];

const values = (shape: readonly number[], seed: number): Tensor<'float32'> => {
  const stream = random(seed);
  return tensor(
    'float32',
    shape,
    Float32Array.from({ length: elementCount(shape) }, () => stream.next() * 2 - 1),
  );
};

function modelFor({ op, input, weight, bias, attributes }: Case, seed = 1): Model {
  const weights = new Map([
    ...(weight === undefined ? [] : [['w', values(weight, seed)] as const]),
    ...(bias === true ? [['b', values(weight?.slice(0, 1) ?? [], seed + 1)] as const] : []),
  ]);
  return modelOf(['batch', ...input.slice(1)], weights, {
    output: 'y',
    nodes: (build) => build.add(op, ['x', ...weights.keys()], attributes),
  });
}

/** The model as a training step has it. */
function forwardOf(model: Model): Model {
  const build = new GraphBuilder(declarationsOf(model), 'forward/');
  addForward(model.graph.nodes, build);
  const weights = new Map([...model.weights, ...build.constants]);
  const declared = [...weights].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  return { graph: { ...model.graph, nodes: build.nodes, weights: declared }, weights };
}

const opsOf = ({ graph }: Model): string[] => graph.nodes.map(({ op }) => op);

async function outputOf(model: Model, x: Tensor): Promise<Tensor> {
  const session = await onnxRuntime.load(model, { threads: 1, purpose: 'training' });
  const { y } = await session.run({ x });
  await session.dispose();
  if (y === undefined) throw new Error('the model has no output y');
  return y;
}

const numbers = ({ data }: Tensor): number[] => Array.from(data as Iterable<number>, Number);
const array = (value: Tensor): Array64 => ({ shape: value.shape, data: numbers(value) });

/** The largest difference over the largest number. */
function difference(found: Tensor | undefined, expected: Tensor): number {
  if (found?.shape.join() !== expected.shape.join()) return Infinity;
  const pairs = numbers(expected).map((value, i) => [value, Number(found.data[i])] as const);
  const largest = Math.max(...pairs.map(([value]) => Math.abs(value)));
  return Math.max(0, ...pairs.map(([a, b]) => Math.abs(a - b))) / (largest === 0 ? 1 : largest);
}

/** All ways in which the other form differs from the operator, empty where there are none. */
async function faults(one: Case, seed: number): Promise<string[]> {
  const original = modelFor(one, seed);
  const other = forwardOf(original);
  const x = values(one.input, seed + 2);
  const expected = await outputOf(original, x);
  const wrong: string[] = [];
  const note = (what: string, error: number): void => {
    if (!(error <= 1e-5)) wrong.push(`${what}: ${error}`);
  };
  note('output', difference(await outputOf(other, x), expected));
  const onto = values(expected.shape, seed + 3);
  const wanted = ['x', ...original.weights.keys()];
  const objective = { kind: 'projection', output: 'y', onto } as const;
  const [plain, found] = await Promise.all(
    [original, other].map((model) => gradientsOf(model, x, { wanted, objective })),
  );
  const [written] = original.graph.nodes;
  const pads = one.pads && { pads: { kind: 'ints', value: one.pads } as const };
  const node = written && { ...written, attributes: { ...written.attributes, ...pads } };
  const given = [x, ...original.weights.values()];
  for (const [i, name] of wanted.entries()) {
    const gradient = found?.gradients.get(name);
    const unwritten = plain?.gradients.get(name);
    if (unwritten === undefined || gradient === undefined || node === undefined) {
      wrong.push(`there is no gradient by ${name}`);
      continue;
    }
    note(`gradient by ${name}`, difference(gradient, unwritten));
    const places = sample(gradient.data.length, seed);
    const exact = places.map((place) => derivative(node, given.map(array), { index: i, place, onto: array(onto) }));
    note(
      `gradient by ${name} in float64`,
      relativeError(
        places.map((place) => Number(gradient.data[place])),
        exact,
      ),
    );
  }
  return wrong;
}

/** Elements whose derivative is taken: each runs the reference. */
const sample = (count: number, seed: number): number[] =>
  random(seed)
    .shuffle([...Array(count).keys()])
    .slice(0, 6);

/** Convolutions and averages are linear in each input, so the derivative by an element is the output at its unit vector. */
function derivative(
  node: Node,
  inputs: readonly Array64[],
  { index, place, onto }: { index: number; place: number; onto: Array64 },
): number {
  const run = reference[node.op];
  if (run === undefined) throw new Error(`there is no reference for ${node.op}`);
  const moved = inputs.map(({ shape, data }, i) => {
    const zeros = data.map(() => 0);
    if (i === index) return { shape, data: zeros.with(place, 1) };
    // The derivative by the bias has no input in it, that by the input no bias.
    return index === 2 || i === 2 ? { shape, data: zeros } : { shape, data };
  });
  const results = run(node, moved);
  const [output] = 'data' in results ? [results] : results;
  return (output?.data ?? [NaN]).reduce((sum, value, i) => sum + value * (onto.data[i] ?? NaN), 0);
}

function expectKept(model: Model): void {
  const { graph, weights } = forwardOf(model);
  expect(graph).toEqual(model.graph);
  expect([...weights.keys()]).toEqual([...model.weights.keys()]);
}

const titled = (one: Case) =>
  [`${one.op} ${one.input.join('x')} ${JSON.stringify({ weight: one.weight, ...one.attributes })}`, one] as const;

describe('the form of a small plane as a matrix product', () => {
  it.each(rewritten.map(titled))('gives the numbers and gradients of %s', async (_, one) => {
    const model = modelFor(one);
    expect(opsOf(forwardOf(model))).not.toContain(one.op);
    expect(opsOf(forwardOf(model))).toContain('MatMul');
    expect(inferShapes(forwardOf(model)).get('y')).toEqual(inferShapes(model).get('y'));
    expect(await faults(one, 1)).toEqual([]);
  });

  it('holds for any small window, whichever form it takes', async () => {
    const two = (min: number, max: number) => tuple(integer({ min, max }), integer({ min, max }));
    const windows = record({
      op: constantFrom('Conv' as const, 'AveragePool' as const),
      batch: integer({ min: 1, max: 3 }),
      channels: integer({ min: 1, max: 3 }),
      size: two(3, 10),
      kernel: two(1, 3),
      strides: two(1, 3),
      dilations: two(1, 2),
      begin: two(0, 2),
      end: two(0, 2),
      bias: boolean(),
      count_include_pad: integer({ min: 0, max: 1 }),
      seed: integer({ min: 0, max: 1e6 }),
    });
    await assert(
      asyncProperty(windows, async ({ op, batch, channels, size, bias, count_include_pad, seed, ...window }) => {
        const { kernel, strides, dilations } = window;
        // ONNX Runtime refuses pools whose padding is as wide as the window.
        const most = (i: number): number => (op === 'Conv' ? 2 : (kernel[i] ?? 1) - 1);
        const pads = [...window.begin, ...window.end].map((pad, i) => Math.min(pad, most(i % 2)));
        const extents = kernel.map((taps, i) => (dilations[i] ?? 1) * (taps - 1) + 1);
        if (extents.some((extent, i) => extent > (size[i] ?? 0))) dilations.fill(1);
        const input = [batch, channels, ...size];
        const one: Case =
          op === 'Conv'
            ? {
                op,
                input,
                weight: [channels, 1, ...kernel],
                bias,
                attributes: { group: channels, strides, dilations, pads },
              }
            : pool(input, kernel, { strides, dilations, pads, count_include_pad });
        expect(await faults(one, seed)).toEqual([]);
      }),
      { numRuns: 25 },
    );
  });

  it.each(kept)('leaves alone %s', (_, one) => {
    expectKept(modelFor(one));
  });

  it('leaves alone an element type other than float32', () => {
    const model = modelOf(['batch', 2, 4, 4], new Map(), {
      output: 'y',
      nodes: (build) => build.add('AveragePool', [build.add('Cast', ['x'], { to: 10 })], { kernel_shape: [2, 2] }),
    });
    expectKept(model);
  });

  it('is not used where the session has blocks of channels', () => {
    const model = modelFor(conv([2, 8, 7, 7], 3, { pads: [1, 1, 1, 1] }));
    const scope = declarationsOf(model, { x: [2, 8, 7, 7] });
    const build = new GraphBuilder(scope, 'forward/', { blockedChannels: 8 });
    expect(addForward(model.graph.nodes, build)).toEqual(model.graph.nodes);
    const own = build.nodes.filter(({ domain }) => domain === 'com.microsoft.nchwc').map(({ op }) => op);
    expect(own).toEqual(['ReorderInput', 'Conv', 'ReorderOutput']);
    expect(scope.of('y')).toEqual({ dtype: 'float32', shape: [2, 8, 7, 7] });
  });

  it('leaves no depthwise operator in a training step', () => {
    const weights = new Map([
      ['w', values([4, 1, 3, 3], 1)],
      ['head', values([16, 3], 2)],
    ]);
    const model = modelOf(['batch', 4, 8, 8], weights, {
      output: 'logits',
      nodes: (build) => {
        const y = build.add('Conv', ['x', 'w'], { group: 4, strides: [2, 2], pads: [1, 1, 1, 1] });
        const averages = build.add('AveragePool', [y], { kernel_shape: [2, 2], strides: [2, 2] });
        return build.add('MatMul', [build.add('Flatten', [averages], { axis: 1 }), 'head']);
      },
    });
    const step = buildTrainingStep(model, {
      trainable: ['w', 'head'],
      loss: 'softmax-cross-entropy',
      optimizer: { kind: 'sgd' },
    });
    const ops = new Set(opsOf(step));
    expect(['Conv', 'ConvTranspose', 'AveragePool'].filter((op) => ops.has(op))).toEqual([]);
  });
});
