/** Graphs and data that a consortium may bring by mistake or on purpose: each ends in an answer that says what to do, never in a wrong one. */
import { GraftError } from '@graft/core/error';
import { tensor, type Tensor, type Weights } from '@graft/core/tensor';

import type { Dimension, Graph, Model, Node } from '../graph/graph.js';
import { topologicalOrder } from '../graph/topological-order.js';
import { validateGraph } from '../graph/validate.js';
import { inferShapes } from '../operators/infer-shapes.js';
import { onnxRuntime } from '../runtime/onnxruntime.adapter.js';
import { buildTrainingStep } from './build-training-step.js';
import { StepSource } from './step-source.js';
import { train, TrainingDiverged, type TrainingJob } from './training-session.js';
import type { TrainingStepOptions } from './training-step.js';

const float = (shape: readonly number[], ...data: number[]): Tensor<'float32'> =>
  tensor('float32', shape, Float32Array.from(data));
const waves = (...shape: number[]): Tensor<'float32'> =>
  float(shape, ...Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i + 1) / 2));
const ints = (...values: number[]): Tensor<'int64'> =>
  tensor('int64', [values.length], BigInt64Array.from(values, BigInt));

const node = (op: string, inputs: string, outputs: string, attributes: Node['attributes'] = {}): Node => ({
  name: `${op} to ${outputs}`,
  op,
  domain: '',
  inputs: inputs.split(' '),
  outputs: outputs.split(' '),
  attributes,
});

const model = (
  nodes: readonly Node[],
  weights: Readonly<Record<string, Tensor>>,
  { x = ['N', 2], outputs = ['logits'] }: { x?: readonly Dimension[]; outputs?: readonly string[] } = {},
): Model => ({
  graph: {
    name: 'hostile',
    inputs: [{ name: 'x', dtype: 'float32', shape: x }],
    outputs: outputs.map((name) => ({ name, dtype: 'float32' })),
    weights: Object.entries(weights).map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
    nodes,
  },
  weights: new Map(Object.entries(weights)),
});

const linear = (weights: Readonly<Record<string, Tensor>> = { w: waves(2, 3) }): Model =>
  model([node('MatMul', 'x w', 'logits')], weights);

const options: TrainingStepOptions = {
  trainable: ['w'],
  loss: 'softmax-cross-entropy',
  optimizer: { kind: 'sgd' },
};

const job = (given: Model, change: Partial<TrainingJob> = {}): TrainingJob => ({
  model: given,
  step: options,
  examples: {
    inputs: { x: waves(4, 2) },
    targets: { labels: tensor('int32', [4], Int32Array.of(0, 1, 2, 0)) },
  },
  epochs: 1,
  batchSize: 4,
  learningRate: 0.1,
  seed: 1,
  ...change,
});

const failureOf = async (one: TrainingJob): Promise<unknown> =>
  train(one, onnxRuntime).then(
    () => undefined,
    (error: unknown) => error,
  );

describe('a model that cannot be trained', () => {
  const product = node('MatMul', 'x w', 'y');
  const w = waves(2, 3);
  it.each<[string, Model, string, RegExp]>([
    [
      'an operator that nobody knows',
      model([product, node('Frobnicate', 'y', 'logits')], { w }),
      'MODEL_UNSUPPORTED',
      /'Frobnicate to logits' is a Frobnicate, which is not in the operator table/,
    ],
    [
      'a private operator',
      model([product, { ...node('Thing', 'y', 'logits'), domain: 'com.acme' }], { w }),
      'MODEL_UNSUPPORTED',
      /'Thing to logits' is a com\.acme\.Thing/,
    ],
    [
      'a way to the weight that has no gradient',
      model(
        [
          product,
          node('ArgMax', 'y', 'z', { axis: { kind: 'int', value: 1 } }),
          node('Cast', 'z', 'u', { to: { kind: 'int', value: 1 } }),
          node('Add', 'u x', 'logits'),
        ],
        { w },
      ),
      'NOT_DIFFERENTIABLE',
      /'ArgMax to z' \(ArgMax\)/,
    ],
    [
      'a weight that nothing reads',
      model([node('MatMul', 'x v', 'logits')], { w, v: w }),
      'NOT_DIFFERENTIABLE',
      /weight 'w' has no influence/,
    ],
    [
      'a weight of whole numbers',
      linear({ w: tensor('int32', [2, 3], new Int32Array(6)) }),
      'MODEL_UNSUPPORTED',
      /weight 'w' is int32; only float32 can be trained/,
    ],
    ['a weight of another shape', linear({ w: waves(5, 3) }), 'MODEL_MALFORMED', /multiplies 2 columns with 5 rows/],
    [
      'a weight that its file lacks',
      { ...linear(), weights: new Map() as Weights },
      'TENSOR_UNKNOWN',
      /no initial value of 'w'/,
    ],
    [
      'two outputs, neither of them called logits',
      model([product, node('Relu', 'y', 'z')], { w }, { outputs: ['y', 'z'] }),
      'MODEL_UNSUPPORTED',
      /'logits'; the model has 'y', 'z'/,
    ],
  ])('for %s says so', async (_, given, code, message) => {
    const error = await failureOf(job(given));
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it.each<[string, Tensor | undefined, RegExp]>([
    ['are missing', undefined, /input 'x' .*missing/],
    ['are of another type', tensor('int32', [4, 2], new Int32Array(8)), /input 'x' is int32 \[4, 2\].*takes float32/],
    ['are of another size', waves(4, 3), /input 'x' is float32 \[4, 3\].*\[4, 2\]/],
  ])('for examples that %s says so', async (_, x, message) => {
    const error = await failureOf(
      job(linear(), {
        examples: { ...job(linear()).examples, inputs: x === undefined ? { other: waves(4, 2) } : { x } },
      }),
    );
    expect(error).toMatchObject({ code: 'DATA_UNSUITABLE', message: expect.stringMatching(message) });
  });
});

describe('a model that was exported in training mode', () => {
  const truth = tensor('bool', [], Uint8Array.of(1));
  const dropping = model([node('Dropout', 'x r t', 'd'), node('MatMul', 'd w', 'logits')], {
    w: waves(2, 3),
    r: float([], 0.5),
    t: truth,
  });
  const normalizing = model(
    [
      node('BatchNormalization', 'x s b m v', 'n m2 v2', { training_mode: { kind: 'int', value: 1 } }),
      node('MatMul', 'n w', 'logits'),
    ],
    { w: waves(2, 3), s: float([2], 1, 1), b: float([2], 0, 0), m: float([2], 0, 0), v: float([2], 1, 1) },
  );

  it.each<[string, Model, Partial<TrainingStepOptions>]>([
    ['drops', dropping, { dropout: {} }],
    ['normalises by the batch', normalizing, { batchNorm: 'local' }],
  ])('and %s says so, and trains to the same bits where that is asked for', async (_, given, asked) => {
    expect(await failureOf(job(given))).toMatchObject({
      code: 'MODEL_UNSUPPORTED',
      message: expect.stringMatching(/exported in training mode; export the model in inference mode, or train with/),
    });
    const step = { ...options, ...asked };
    const [first, again] = [
      await train(job(given, { step }), onnxRuntime),
      await train(job(given, { step }), onnxRuntime),
    ];
    expect(again.weights).toEqual(first.weights);
    expect([...(first.weights.get('w')?.data ?? [])].every(Number.isFinite)).toBe(true);
  });
});

describe('weights that are no numbers', () => {
  it('end the training at its first step', async () => {
    const error = await failureOf(job(linear({ w: float([2, 3], NaN, 0, 0, 0, 0, 0) })));
    expect(error).toMatchObject({ code: 'TRAINING_DIVERGED', message: expect.stringContaining('at step 1') });
  });

  it('are not given back where the last step made them of a finite loss, and those before it are', async () => {
    // The square root of zero is zero, its gradient infinite.
    const root = model([node('MatMul', 'x w', 'y'), node('Sqrt', 'v', 'r'), node('Add', 'y r', 'logits')], {
      w: waves(2, 3),
      v: float([3], 0, 0, 0),
    });
    const error = await failureOf(job(root, { step: { ...options, trainable: ['w', 'v'] } }));
    expect(error).toBeInstanceOf(TrainingDiverged);
    if (!(error instanceof TrainingDiverged)) return;
    expect(error.step).toBe(1);
    expect(error.message).toMatch(/step 1 left 'v' with values that are not finite/);
    expect([...(error.lastGood.get('v')?.data ?? [])]).toEqual([0, 0, 0]);
  });
});

describe('a graph of a strange form', () => {
  it('adds up the gradients of a weight that is used twice', async () => {
    const square = { w: waves(3, 3) };
    const tied = model([node('MatMul', 'x w', 'y'), node('MatMul', 'y w', 'logits')], square, { x: ['N', 3] });
    const apart = model(
      [node('MatMul', 'x w', 'y'), node('MatMul', 'y v', 'logits')],
      { ...square, v: waves(3, 3) },
      {
        x: ['N', 3],
      },
    );
    const examples = { ...job(tied).examples, inputs: { x: waves(4, 3) } };
    const once = await train(job(tied, { examples }), onnxRuntime);
    const twice = await train(job(apart, { examples, step: { ...options, trainable: ['w', 'v'] } }), onnxRuntime);
    for (const [i, value] of (once.weights.get('w')?.data ?? []).entries()) {
      const before = square.w.data[i] ?? NaN;
      const moved = ['w', 'v'].reduce((sum, name) => sum + (twice.weights.get(name)?.data[i] ?? NaN) - before, 0);
      expect(value - before).toBeCloseTo(moved, 6);
    }
  });

  it.each<[string, Model]>([
    ['gives back an input', model([node('MatMul', 'x w', 'logits')], { w: waves(2, 3) }, { outputs: ['x', 'logits'] })],
    ['gives back a weight', model([node('MatMul', 'x w', 'logits')], { w: waves(2, 3) }, { outputs: ['w', 'logits'] })],
    [
      'has an output that nobody asks for',
      model(
        [node('MatMul', 'x w', 'logits'), node('ArgMax', 'x', 'unused')],
        { w: waves(2, 3) },
        { outputs: ['logits'] },
      ),
    ],
    [
      'turns the axis of the batch around',
      model(
        [
          node('Transpose', 'x', 't', { perm: { kind: 'ints', value: [1, 0] } }),
          node('MatMul', 'w t', 'u'),
          node('Transpose', 'u', 'logits', { perm: { kind: 'ints', value: [1, 0] } }),
        ],
        { w: waves(3, 2) },
      ),
    ],
  ])('learns where it %s', async (_, given) => {
    const { loss, initialLoss } = await train(job(given, { epochs: 30 }), onnxRuntime);
    expect(loss).toBeLessThan(initialLoss);
  });

  it('has a scalar among its inputs, which keeps its shape', () => {
    const scaled = model([node('MatMul', 'x w', 'y'), node('Mul', 'y t', 'logits')], { w: waves(2, 3) });
    const inputs = [...scaled.graph.inputs, { name: 't', dtype: 'float32', shape: [] } as const];
    const { step } = new StepSource(
      { ...scaled, graph: { ...scaled.graph, inputs } },
      { ...options, rows: 4 },
      onnxRuntime,
    );
    expect(step.inputs.map(({ shape }) => shape)).toEqual([[4, 2], []]);
  });

  it('of a batch that the file fixes learns from other batches, unless a node holds to it: then it says what to do', async () => {
    const convolution = (...shape: number[]): Model =>
      model(
        [node('Conv', 'x k', 'h'), node('Reshape', 'h s', 'r'), node('MatMul', 'r w', 'logits')],
        { k: waves(5, 3, 3, 3), w: waves(20, 3), s: ints(...shape) },
        { x: [1, 3, 4, 4] },
      );
    const examples = { ...job(linear()).examples, inputs: { x: waves(4, 3, 4, 4) } };
    const free = await train(job(convolution(-1, 20), { examples, epochs: 5 }), onnxRuntime);
    expect(free.loss).toBeLessThan(free.initialLoss);
    for (const shape of [
      [1, 20],
      [1, -1],
    ]) {
      const fixed = await train(job(convolution(...shape), { examples, epochs: 5, batchSize: 3 }), onnxRuntime);
      const same = await train(job(convolution(-1, 20), { examples, epochs: 5, batchSize: 3 }), onnxRuntime);
      expect(fixed.weights.get('w')).toEqual(same.weights.get('w'));
      expect(fixed.loss).toBe(same.loss);
    }
    const error = await failureOf(job(convolution(2, 10), { examples }));
    expect(error).toMatchObject({
      code: 'MODEL_UNSUPPORTED',
      message: expect.stringMatching(
        /fixes the batch of 'x' to 1, and with batches of 4 node 'Reshape to r'.*export the model with a free batch axis/,
      ),
    });
  });
});

describe('a graph of very many nodes', () => {
  const count = 12_000;
  const chain = model(
    [
      node('MatMul', 'x w', 'h0'),
      ...Array.from({ length: count }, (_, i) => node('Tanh', `h${i}`, i === count - 1 ? 'logits' : `h${i + 1}`)),
    ],
    { w: waves(2, 3) },
  );

  it('is ordered, typed and differentiated without a deep stack', () => {
    expect(topologicalOrder(chain.graph.nodes.toReversed())).toHaveLength(count + 1);
    validateGraph(chain.graph);
    expect(inferShapes(chain).get('logits')?.shape).toEqual(['N', 3]);
    expect(buildTrainingStep(chain, options).graph.nodes.length).toBeGreaterThan(count);
  });

  it('has gradients that add up where one value is read by all of them', () => {
    const names = Array.from({ length: 4000 }, (_, i) => `b${i}`);
    const wide = model(
      [
        node('MatMul', 'x w', 'y'),
        ...names.map((name, i) => node(i % 2 === 0 ? 'Tanh' : 'Sigmoid', 'y', name)),
        node('Sum', names.join(' '), 'logits'),
      ],
      { w: waves(2, 3) },
    );
    const { graph } = buildTrainingStep(wide, options);
    expect(graph.outputs.length).toBeGreaterThan(1);
  });

  it('is checked as one where each node has a body, whose names are its own', () => {
    const body = (): Graph => ({
      name: 'body',
      inputs: [],
      outputs: [{ name: 'inner', dtype: 'float32' }],
      weights: [],
      nodes: [node('Relu', 'x', 'inner')],
    });
    const many = Array.from({ length: count }, (_, i) =>
      node('If', 'c', `o${i}`, { then_branch: { kind: 'graph', value: body() } }),
    );
    const inputs = [...linear().graph.inputs, { name: 'c', dtype: 'bool', shape: [] } as const];
    const graph = { ...linear().graph, inputs, outputs: [{ name: 'o0', dtype: 'float32' } as const], weights: [] };
    validateGraph({ ...graph, nodes: many });
    const reader = node('Relu', 'inner', 'o');
    expect(() => validateGraph({ ...graph, nodes: [...many, reader] })).toThrow(
      /reads 'inner', which nothing before it makes/,
    );
  });

  it('is refused where bodies lie in bodies without end', () => {
    const nested = (depth: number): Graph => ({
      name: `body ${depth}`,
      inputs: [],
      outputs: [{ name: `q${depth}`, dtype: 'float32' }],
      weights: [],
      nodes: [
        depth === 0
          ? node('Relu', 'x', 'q0')
          : node('If', 'c', `q${depth}`, { then_branch: { kind: 'graph', value: nested(depth - 1) } }),
      ],
    });
    const deep = { ...linear().graph, nodes: nested(1000).nodes };
    expect(() => validateGraph(deep)).toThrow(GraftError);
    expect(() => validateGraph(deep)).toThrow(/nested deeper than the limit of 8/);
  });
});
