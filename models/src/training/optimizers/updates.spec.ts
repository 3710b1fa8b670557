/** Tensors that are updated together as one vector against each of them alone, bit for bit. */
import { random } from '@graft/core/random';
import { elementCount, tensor, zeros, type Tensor } from '@graft/core/tensor';

import type { Model } from '../../graph/graph.js';
import { GraphBuilder } from '../../operators/graph-builder.js';
import { TypeScope } from '../../operators/type-scope.js';
import { onnxRuntime } from '../../runtime/onnxruntime.adapter.js';
import { addUpdate, stateNamesOf } from './optimizer.js';
import type { OptimizerSpec } from './optimizer-spec.js';
import { stepScalars } from './step-scalars.js';
import type { Slot } from '../training-step.js';
import { addUpdates } from './updates.js';

/** On both sides of 65,536 elements, the size from which a tensor is updated alone. */
const shapes = new Map<string, readonly number[]>([
  ['bias', [7]],
  ['below', [255, 257]],
  ['pointwise', [24, 5, 1, 1]],
  ['at', [256, 256]],
  ['scalar', []],
  ['kernel', [3, 1, 5, 5]],
]);

const gradientOf = (name: string): string => `gradient/${name}`;
const scalars = { rate: 'rate', learningRate: 'learningRate', epsilon: 'epsilon' };

type Write = (build: GraphBuilder) => { weights: ReadonlyMap<string, Slot>; state: readonly Slot[] };

/** A graph of updates alone: weights, gradients and state in, weights and state out. */
function updatesModel(write: Write): { model: Model; weights: ReadonlyMap<string, Slot>; state: readonly Slot[] } {
  const scope = new TypeScope();
  const fed = [...shapes].flatMap(([name, shape]) => [name, gradientOf(name)].map((input) => ({ input, shape })));
  const inputs = [...fed, ...Object.values(scalars).map((input) => ({ input, shape: [] }))];
  for (const { input, shape } of inputs) scope.declare(input, { dtype: 'float32', shape });
  const build = new GraphBuilder(scope, 'train/');
  const { weights, state } = write(build);
  const value = (name: string, shape: readonly number[]) => ({ name, dtype: 'float32', shape }) as const;
  const constants = [...build.constants].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  const graph = {
    name: 'updates',
    inputs: [...inputs, ...state].map(({ input, shape }) => value(input, shape)),
    outputs: [...weights.values(), ...state].map(({ output, shape }) => value(output, shape)),
    weights: constants,
    nodes: build.nodes,
  };
  return { model: { graph, weights: build.constants }, weights, state };
}

const together =
  (optimizer: OptimizerSpec): Write =>
  (build) => {
    const gradients = new Map([...shapes.keys()].map((name) => [name, gradientOf(name)]));
    const { weightSlots, stateSlots } = addUpdates({ shapes, gradients, optimizer, scalars }, build);
    return { weights: weightSlots, state: stateSlots };
  };

/** The plainest form: each tensor in its own shape, with state of its own. */
const alone =
  (optimizer: OptimizerSpec): Write =>
  (build) => {
    const weights = new Map<string, Slot>();
    const slots: Slot[] = [];
    for (const [name, shape] of shapes) {
      const state = stateNamesOf(optimizer).map((kind) => `${name}/${kind}`);
      for (const each of state) build.declare(each, { dtype: 'float32', shape });
      const update = { weight: name, gradient: gradientOf(name), state, scalars, decayed: true };
      const updated = addUpdate(optimizer, update, build);
      weights.set(name, { input: name, output: updated.weight, shape });
      slots.push(...state.map((input, i) => ({ input, output: updated.state[i] ?? '', shape })));
    }
    return { weights, state: slots };
  };

/** Numbers of very different sizes, as gradients are; a list that is repeated, since they are many. */
function values(shape: readonly number[], seed: number): Tensor<'float32'> {
  const stream = random(seed);
  const list = Float32Array.from({ length: 1009 }, () => stream.normal() * 10 ** (-6 * stream.next()));
  const data = new Float32Array(elementCount(shape));
  for (let begin = 0; begin < data.length; begin += list.length) {
    data.set(list.subarray(0, data.length - begin), begin);
  }
  return tensor('float32', shape, data);
}

/** The weights after five steps whose gradients depend on the step only. */
async function fiveSteps(write: Write, optimizer: OptimizerSpec): Promise<Map<string, Tensor>> {
  const { model, weights, state } = updatesModel(write);
  const session = await onnxRuntime.load(model, { threads: 1, purpose: 'training' });
  const names = [...shapes.keys()];
  let current = new Map<string, Tensor>([
    ...[...shapes].map(([name, shape], i) => [name, values(shape, i)] as const),
    ...state.map(({ input, shape }) => [input, zeros('float32', shape)] as const),
  ]);
  for (let step = 1; step <= 5; step++) {
    const { rate, learningRate, epsilon } = stepScalars(optimizer, 0.01, step);
    const gradients = names.map(
      (name, i) => [gradientOf(name), values(shapes.get(name) ?? [], 100 * step + i)] as const,
    );
    const fetches = await session.run({
      ...Object.fromEntries([...current, ...gradients]),
      rate: tensor('float32', [], Float32Array.of(rate)),
      learningRate: tensor('float32', [], Float32Array.of(learningRate)),
      epsilon: tensor('float32', [], Float32Array.of(epsilon)),
    });
    current = new Map(
      [...weights.values(), ...state].map(({ input, output }) => [input, fetches[output] ?? zeros('float32', [0])]),
    );
  }
  await session.dispose();
  return current;
}

const bits = ({ data, shape }: Tensor) => ({
  shape,
  bytes: Buffer.from(data.buffer, data.byteOffset, data.byteLength),
});

describe('updates of many tensors', () => {
  it.each<[string, OptimizerSpec]>([
    ['SGD', { kind: 'sgd' }],
    ['SGD with momentum', { kind: 'sgd', momentum: 0.9 }],
    ['SGD with momentum and weight decay', { kind: 'sgd', momentum: 0.9, weightDecay: 0.01 }],
    ['Adam', { kind: 'adam' }],
    ['Adam with weight decay', { kind: 'adam', weightDecay: 0.01 }],
    ['AdamW', { kind: 'adamw' }],
    ['Adagrad', { kind: 'adagrad' }],
    ['RMSprop with momentum', { kind: 'rmsprop', momentum: 0.9 }],
  ])('of %s give the bits that each tensor gets alone, over five steps', async (_, optimizer) => {
    const joint = await fiveSteps(together(optimizer), optimizer);
    const single = await fiveSteps(alone(optimizer), optimizer);
    for (const name of shapes.keys()) {
      const [found, expected] = [joint, single].map((weights) => bits(weights.get(name) ?? zeros('float32', [0])));
      expect({ name, shape: found?.shape }).toEqual({ name, shape: shapes.get(name) });
      expect({ name, same: found?.bytes.equals(expected?.bytes ?? Buffer.of()) }).toEqual({ name, same: true });
    }
  });

  it('of SGD with momentum are those of its formula in float32', async () => {
    const optimizer = { kind: 'sgd', momentum: 0.9 } as const;
    const trained = await fiveSteps(together(optimizer), optimizer);
    const [rate, momentum] = [Math.fround(0.01), Math.fround(0.9)];
    for (const [i, [name, shape]] of [...shapes].entries()) {
      const weight = values(shape, i).data;
      const velocity = new Float32Array(weight.length);
      for (let step = 1; step <= 5; step++) {
        for (const [j, gradient] of values(shape, 100 * step + i).data.entries()) {
          velocity[j] = Math.fround(Math.fround(momentum * (velocity[j] ?? 0)) + gradient);
          weight[j] = Math.fround((weight[j] ?? 0) - Math.fround((velocity[j] ?? 0) * rate));
        }
      }
      const same = bits(trained.get(name) ?? zeros('float32', [0])).bytes.equals(Buffer.from(weight.buffer));
      expect({ name, same }).toEqual({ name, same: true });
    }
  });

  it('keep small tensors in one vector of state and each large one in its own', () => {
    const { state } = updatesModel(together({ kind: 'adam' }));
    const small = [...shapes.values()].map(elementCount).filter((count) => count < 65_536);
    const joint = small.reduce((sum, count) => sum + count, 0);
    expect(state.map(({ shape }) => shape)).toEqual([joint, joint, 65_536, 65_536].map((n) => [n]));
  });

  it('refuse a weight that has no gradient', () => {
    const write: Write = (build) => {
      const options = { shapes, gradients: new Map<string, string>(), optimizer: { kind: 'sgd' } as const, scalars };
      const { weightSlots, stateSlots } = addUpdates(options, build);
      return { weights: weightSlots, state: stateSlots };
    };
    expect(() => updatesModel(write)).toThrow(expect.objectContaining({ code: 'NOT_DIFFERENTIABLE' }));
  });
});
