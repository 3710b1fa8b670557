/** Dropout in training: what was kept passes the gradient, scaled as its value was. */
import { tensor, type Tensor } from '@graft/core/tensor';

import { onnxRuntime } from '../../runtime/onnxruntime.adapter.js';
import { differentiate } from '../../training/differentiate.js';
import { GraphBuilder } from '../graph-builder.js';
import { TypeScope } from '../type-scope.js';

const count = 1000;
const ratio = 0.4;

/** y and dx for x and dy of ones. */
async function run(training: boolean | undefined, withMask: boolean): Promise<{ y: Tensor; dx: Tensor }> {
  const scope = new TypeScope();
  const build = new GraphBuilder(scope, 'g/');
  for (const name of ['x', 'dy']) scope.declare(name, { dtype: 'float32', shape: ['n'] });
  const flag = training === undefined ? [] : [build.constant(tensor('bool', [], Uint8Array.of(training ? 1 : 0)))];
  const inputs = ['x', build.constant(tensor('float32', [], Float32Array.of(ratio))), ...flag];
  build.addNamed('Dropout', inputs, { outputs: withMask ? ['y', 'mask'] : ['y'] });
  const gradients = differentiate(
    { nodes: [...build.nodes], scope, seeds: new Map([['y', 'dy']]), wanted: ['x'] },
    build,
  );
  build.addNamed('Identity', [gradients.get('x') ?? ''], { outputs: ['dx'] });
  const graph = {
    name: 'dropout',
    inputs: ['x', 'dy'].map((name) => ({ name, ...scope.of(name) })),
    outputs: ['y', 'dx'].map((name) => ({ name, dtype: 'float32' as const })),
    weights: [...build.constants].map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
    nodes: build.nodes,
  };
  const session = await onnxRuntime.load({ graph, weights: build.constants }, { threads: 1, purpose: 'training' });
  const ones = tensor('float32', [count], new Float32Array(count).fill(1));
  const { y, dx } = await session.run({ x: ones, dy: ones });
  await session.dispose();
  if (y === undefined || dx === undefined) throw new Error('a result is not there');
  return { y, dx };
}

describe('Dropout', () => {
  it.each([true, false])(
    'in training passes the gradient where it kept the value (mask returned: %s)',
    async (withMask) => {
      const { y, dx } = await run(true, withMask);
      expect([...dx.data]).toEqual([...y.data]);
      const kept = [...y.data].filter((value) => value !== 0);
      expect(kept.every((value) => Math.abs(Number(value) - 1 / (1 - ratio)) < 1e-6)).toBe(true);
      // 600 of 1000 on average, with a deviation of 15.5.
      expect(Math.abs(kept.length - 600)).toBeLessThan(120);
    },
  );

  it.each([undefined, false])('at inference is the identity (flag: %s)', async (training) => {
    const { y, dx } = await run(training, false);
    expect([...y.data].every((value) => value === 1)).toBe(true);
    expect([...dx.data].every((value) => value === 1)).toBe(true);
  });
});
