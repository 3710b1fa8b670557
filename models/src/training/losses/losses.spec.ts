/** Losses against PyTorch: test/vectors/make_losses.py wrote the numbers, in float64. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { tensor, type Tensor } from '@graft/core/tensor';

import type { Value } from '../../graph/graph.js';
import { GraphBuilder } from '../../operators/graph-builder.js';
import { TypeScope } from '../../operators/type-scope.js';
import { onnxRuntime } from '../../runtime/onnxruntime.adapter.js';
import type { TargetRole } from '../training-step.js';
import { addLoss, targetTypes } from './add-loss.js';
import { lossSpecOf, type LossSpec } from './loss-spec.js';

interface Numbers {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

interface Case {
  readonly name: string;
  readonly spec: LossSpec;
  readonly output: Numbers;
  readonly targets: Readonly<Partial<Record<TargetRole, Numbers & { readonly dtype: 'int32' | 'float32' }>>>;
  readonly loss: number;
  readonly gradient: Numbers;
}

const { cases } = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../../../test/vectors/losses.json'), 'utf8'),
) as { cases: readonly Case[] };

const float = ({ shape, data }: Numbers): Tensor<'float32'> => tensor('float32', shape, Float32Array.from(data));
const int = ({ shape, data }: Numbers): Tensor<'int32'> => tensor('int32', shape, Int32Array.from(data));

/** The loss and its gradient, of a graph of nothing else. */
async function run(spec: LossSpec, output: Tensor, targets: ReadonlyMap<TargetRole, Tensor>) {
  const scope = new TypeScope();
  scope.declare('output', output);
  const inputs: Value[] = [{ name: 'output', dtype: output.dtype, shape: output.shape }];
  for (const [role, type] of targetTypes(spec, output)) {
    scope.declare(role, type);
    inputs.push({ name: role, ...type });
  }
  const build = new GraphBuilder(scope, 'train/');
  const names = Object.fromEntries([...targets.keys()].map((role) => [role, role]));
  const { loss, gradient, count } = addLoss(spec, { output: 'output', targets: names }, build);
  const graph = {
    name: 'loss',
    inputs,
    outputs: [loss, gradient, count].map((name) => ({ name, dtype: 'float32' }) as const),
    weights: [...build.constants].map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
    nodes: build.nodes,
  };
  const session = await onnxRuntime.load({ graph, weights: build.constants }, { threads: 1, purpose: 'training' });
  const fetches = await session.run({ output, ...Object.fromEntries(targets) });
  await session.dispose();
  const values = (name: string): number[] => Array.from(fetches[name]?.data as Float32Array);
  return { loss: values(loss)[0] ?? NaN, gradient: values(gradient), count: values(count)[0] };
}

const targetsOf = ({ targets }: Case): Map<TargetRole, Tensor> =>
  new Map(
    Object.entries(targets).map(([role, each]) => [
      role as TargetRole,
      each.dtype === 'int32' ? int(each) : float(each),
    ]),
  );

describe('a loss', () => {
  it.each(cases.map((each) => [each.name, each] as const))(
    'of %s and its gradient are those of PyTorch, each element to 1e-6',
    async (_, each) => {
      const { loss, gradient } = await run(each.spec, float(each.output), targetsOf(each));
      expect(Math.abs(loss - each.loss)).toBeLessThanOrEqual(1e-6 * Math.max(1, Math.abs(each.loss)));
      const worst = Math.max(...each.gradient.data.map((value, i) => Math.abs((gradient[i] ?? NaN) - value)));
      expect(worst).toBeLessThanOrEqual(1e-6);
      expect(gradient).toHaveLength(each.gradient.data.length);
    },
  );

  it('is zero, with a gradient of zeros, where all labels are ignored', async () => {
    const spec = { kind: 'softmax-cross-entropy', ignoreIndex: -1 } as const;
    const labels = int({ shape: [2], data: [-1, -1] });
    const { loss, gradient } = await run(
      spec,
      float({ shape: [2, 3], data: [1, 2, 3, 4, 5, 6] }),
      new Map([['labels', labels]]),
    );
    expect(loss).toBeCloseTo(0);
    expect(gradient.map(Math.abs)).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it('has no slope that is not finite where an example is certain', async () => {
    const logits = float({ shape: [1, 3], data: [200, 0, -200] });
    const labels = int({ shape: [1], data: [0] });
    for (const gamma of [0, 0.5, 1, 2]) {
      const { loss, gradient } = await run({ kind: 'focal', gamma }, logits, new Map([['labels', labels]]));
      expect([loss, ...gradient].every((value) => Number.isFinite(value) && Math.abs(value) < 1e-6)).toBe(true);
    }
  });

  it('says what its mean is over', async () => {
    const logits = float({ shape: [3, 2], data: [1, 2, 3, 4, 5, 6] });
    const labels = int({ shape: [3], data: [1, 0, -1] });
    const count = async (spec: LossSpec, more: readonly [TargetRole, Tensor][] = []) =>
      (await run(spec, logits, new Map<TargetRole, Tensor>([['labels', labels], ...more]))).count;
    const weights = float({ shape: [2], data: [0.5, 4] });
    expect(await count({ kind: 'softmax-cross-entropy' })).toBe(3);
    expect(await count({ kind: 'softmax-cross-entropy', ignoreIndex: -1 })).toBe(2);
    expect(await count({ kind: 'softmax-cross-entropy', weighted: true }, [['class-weights', weights]])).toBe(4.5);
  });

  it.each<[LossSpec, RegExp]>([
    [{ kind: 'softmax-cross-entropy', smoothing: 1.5 }, /smoothing 1.5, which is not in \[0, 1\]/],
    [{ kind: 'huber', delta: 0 }, /delta 0/],
    [{ kind: 'distillation', temperature: 0 }, /temperature 0/],
    [{ kind: 'distillation', hard: -1 }, /hard -1/],
    [{ kind: 'focal', gamma: NaN }, /gamma NaN/],
  ])('refuses %j', async (spec, message) => {
    const output = float({ shape: [1, 2], data: [0, 0] });
    await expect(run(spec, output, new Map())).rejects.toThrow(
      expect.objectContaining({ code: 'MODEL_UNSUPPORTED', message: expect.stringMatching(message) as string }),
    );
  });

  it('may be given by its name alone', () => {
    expect(lossSpecOf('huber')).toEqual({ kind: 'huber' });
    expect(lossSpecOf({ kind: 'huber', delta: 2 })).toEqual({ kind: 'huber', delta: 2 });
  });
});
