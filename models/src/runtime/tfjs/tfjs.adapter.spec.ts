import { tensor, type Tensor } from '@graft/core/tensor';

import type { Attribute, Model, Node, Value } from '../../graph/graph.js';
import { chooseTfjsBackend } from './find-tfjs.adapter.js';
import { openTfjs, type TfjsRuntime } from './tfjs.adapter.js';

const options = { threads: 1, purpose: 'inference' } as const;
const floats = (...data: number[]): Tensor => tensor('float32', [data.length], Float32Array.from(data));
const int64s = (...data: bigint[]): Tensor => tensor('int64', [data.length], BigInt64Array.from(data));

interface Written {
  readonly op: string;
  readonly inputs: readonly Value[];
  readonly weights?: readonly (readonly [string, Tensor])[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
  readonly outputs?: readonly string[];
}

/** A graph of one node called 'node', which reads the inputs and then the weights. */
function modelOf({ op, inputs, weights = [], attributes = {}, outputs = ['y'] }: Written): Model {
  const names = [...inputs.map(({ name }) => name), ...weights.map(([name]) => name)];
  const node: Node = { name: 'node', op, domain: '', inputs: names, outputs, attributes };
  return {
    graph: {
      name: 'small',
      inputs,
      outputs: outputs.map((name) => ({ name, dtype: 'float32' })),
      weights: weights.map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
      nodes: [node],
    },
    weights: new Map(weights),
  };
}

const x: Value = { name: 'x', dtype: 'float32', shape: ['n'] };
const sum = modelOf({ op: 'Add', inputs: [x], weights: [['w', floats(10, 20)]] });

describe.each(['wasm', 'cpu'] as const)('tfjs on %s', (backend) => {
  let runtime: TfjsRuntime;
  beforeAll(async () => {
    runtime = await openTfjs({ backends: [backend] });
  });
  afterEach(() => {
    expect(runtime.tf.memory().numTensors).toBe(0);
  });

  it('runs a graph with its weights', async () => {
    const session = await runtime.load(sum, options);
    const { y } = await session.run({ x: floats(1, 2) });
    expect(runtime.tf.getBackend()).toBe(backend);
    expect(y).toEqual(floats(11, 22));
    await session.dispose();
  });

  it('writes to tensors that it is given, if they fit', async () => {
    const session = await runtime.load(sum, options);
    const y = floats(0, 0);
    const fetches = await session.run({ x: floats(1, 2) }, { y });
    expect(fetches['y']).toBe(y);
    expect([...y.data]).toEqual([11, 22]);
    await expect(session.run({ x: floats(1, 2) }, { y: floats(0) })).rejects.toMatchObject({
      code: 'RUNTIME_FAILED',
      message: "output 'y' is float32 [2], it cannot be written to float32 [1]",
    });
    await session.dispose();
  });

  it('keeps values where they are, whatever becomes of the arrays that they came from', async () => {
    const session = await runtime.load(sum, options);
    const fed = floats(1, 2);
    const first = (await session.runOnDevice?.({ x: fed })) ?? {};
    fed.data.fill(0 as never);
    const second = (await session.runOnDevice?.({ x: first['y'] ?? fed })) ?? {};
    expect(await second['y']?.read()).toEqual(floats(21, 42));
    for (const value of [first['y'], second['y']]) value?.dispose();
    await session.dispose();
  });

  it.each([
    ['a feed that is missing', {}, "graph 'small' needs a feed 'x'"],
    ['a feed that nobody reads', { x: floats(1, 2), z: floats(1) }, "graph 'small' has no input 'z' to feed"],
  ])('names %s', async (_, feeds, message) => {
    const session = await runtime.load(sum, options);
    await expect(session.run(feeds)).rejects.toMatchObject({ code: 'RUNTIME_FAILED', message });
    await session.dispose();
  });

  it('names the node whose shapes do not fit', async () => {
    const session = await runtime.load(sum, options);
    await expect(session.run({ x: floats(1, 2, 3) })).rejects.toMatchObject({
      code: 'RUNTIME_FAILED',
      message: expect.stringContaining("node 'node' (Add)"),
    });
    await session.dispose();
  });

  it('refuses a graph with an operator that it does not have, before it runs', async () => {
    await expect(runtime.load(modelOf({ op: 'NoSuchOperator', inputs: [x] }), options)).rejects.toMatchObject({
      code: 'RUNTIME_REFUSED',
      message: "the runtime tfjs has no kernel for node 'node' (NoSuchOperator)",
    });
  });

  it('refuses whole numbers that 32 bits do not hold', async () => {
    const places: Value = { name: 'places', dtype: 'int64', shape: ['n'] };
    const session = await runtime.load(
      modelOf({ op: 'Cast', inputs: [places], attributes: { to: { kind: 'int', value: 1 } } }),
      options,
    );
    await expect(session.run({ places: int64s(1n, 2n ** 31n) })).rejects.toMatchObject({
      code: 'MODEL_UNSUPPORTED',
      message: expect.stringContaining("'places' (int64) holds 2147483648 at place 1"),
    });
    await session.dispose();
  });

  it('takes the largest int64 where it only says that a slice goes to the end', async () => {
    const weights = [
      ['starts', int64s(1n)],
      ['ends', int64s(2n ** 63n - 1n)],
    ] as const;
    const session = await runtime.load(modelOf({ op: 'Slice', inputs: [x], weights }), options);
    expect((await session.run({ x: floats(1, 2, 3) }))['y']).toEqual(floats(2, 3));
    await session.dispose();
  });

  it('refuses a place outside of what it reads', async () => {
    const places: Value = { name: 'places', dtype: 'int64', shape: ['n'] };
    const table = ['table', floats(1, 2, 3)] as const;
    const model = modelOf({ op: 'Gather', inputs: [places], weights: [table] });
    const reversed = {
      ...model,
      graph: { ...model.graph, nodes: model.graph.nodes.map((node) => ({ ...node, inputs: ['table', 'places'] })) },
    };
    const session = await runtime.load(reversed, options);
    expect((await session.run({ places: int64s(-1n, 0n) }))['y']).toEqual(floats(3, 1));
    const message = "node 'node' (Gather) reads place 3 of an axis of 3";
    await expect(session.run({ places: int64s(3n) })).rejects.toMatchObject({ message });
    await session.dispose();
  });

  it('refuses numbers that the library has no type for', async () => {
    const wide: Value = { name: 'x', dtype: 'float64', shape: [1] };
    const session = await runtime.load(modelOf({ op: 'Neg', inputs: [wide] }), options);
    await expect(session.run({ x: tensor('float64', [1], Float64Array.of(1)) })).rejects.toMatchObject({
      code: 'MODEL_UNSUPPORTED',
      message: "'x' is of float64, which the runtime tfjs does not hold",
    });
    await session.dispose();
  });
});

describe('openTfjs', () => {
  it('keeps the turns of two backends apart', async () => {
    const [wasm, cpu] = [await openTfjs({ backends: ['wasm'] }), await openTfjs({ backends: ['cpu'] })];
    const sessions = await Promise.all([wasm.load(sum, options), cpu.load(sum, options)]);
    const runs = await Promise.all([...sessions, ...sessions].map((session, i) => session.run({ x: floats(i, 0) })));
    expect(runs.map(({ y }) => Array.from(y?.data ?? [], Number))).toEqual([0, 1, 2, 3].map((i) => [10 + i, 20]));
    await Promise.all(sessions.map((session) => session.dispose()));
  });

  it('says why it took none of the others', async () => {
    const { backend, reasons } = await chooseTfjsBackend({ backends: ['tfjs-node-gpu', 'wasm', 'cpu'] });
    expect(backend).toBe('wasm');
    expect(reasons).toEqual([
      { backend: 'tfjs-node-gpu', reason: '@tensorflow/tfjs-node-gpu is not installed' },
      { backend: 'cpu', reason: 'wasm comes first' },
    ]);
  });

  it('gives every reason where nothing works', async () => {
    await expect(openTfjs({ backends: ['tfjs-node-gpu'] })).rejects.toMatchObject({
      code: 'RUNTIME_REFUSED',
      message: 'no backend of tfjs works here (tfjs-node-gpu: @tensorflow/tfjs-node-gpu is not installed)',
    });
  });
});
