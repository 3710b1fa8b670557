/** A gradient that reads a result which its node did not write, where the node can still be changed and where it cannot. */
import { tensor, type Tensor } from '@graft/core/tensor';

import type { Node } from '../graph/graph.js';
import { onnxRuntime } from '../runtime/onnxruntime.adapter.js';
import { differentiate } from '../training/differentiate.js';
import { GraphBuilder } from './graph-builder.js';
import { TypeScope } from './type-scope.js';

const shapes = { x: [3, 2, 2], w: [1, 12, 2], r: [1, 12, 3] } as const;

const values = (shape: readonly number[]): Tensor<'float32'> => {
  const count = shape.reduce((product, size) => product * size, 1);
  return tensor(
    'float32',
    shape,
    Float32Array.from({ length: count }, (_, i) => Math.sin(i + count)),
  );
};

/** An LSTM of which only the last state is read: its gradient needs the states of all steps. */
async function gradient(inOneGraph: boolean): Promise<{ dx: Tensor | undefined; nodes: readonly Node[] }> {
  const scope = new TypeScope();
  for (const [name, shape] of Object.entries(shapes)) scope.declare(name, { dtype: 'float32', shape });
  const forward = new GraphBuilder(scope, 'forward/');
  forward.addNamed('LSTM', ['x', 'w', 'r'], { attributes: { hidden_size: 3 }, outputs: ['', 'last'] });
  const build = inOneGraph ? forward : new GraphBuilder(scope, 'backward/');
  const seeds = new Map([['last', build.constant(values([1, 2, 3]))]]);
  const found = differentiate({ nodes: [...forward.nodes], scope, seeds, wanted: ['x'] }, build);
  build.addNamed('Identity', [found.get('x') ?? ''], { outputs: ['dx'] });
  const nodes = inOneGraph ? build.nodes : [...forward.nodes, ...build.nodes];
  const graph = {
    name: 'lstm',
    inputs: Object.entries(shapes).map(([name, shape]) => ({ name, dtype: 'float32' as const, shape })),
    outputs: ['last', 'dx'].map((name) => ({ name, dtype: 'float32' as const })),
    weights: [...build.constants].map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
    nodes,
  };
  const session = await onnxRuntime.load({ graph, weights: build.constants }, { threads: 1, purpose: 'training' });
  const feeds = Object.entries(shapes).map(([name, shape]) => [name, values(shape)] as const);
  const { dx } = await session.run(Object.fromEntries(feeds));
  await session.dispose();
  return { dx, nodes };
}

describe('a result that only the gradient reads', () => {
  it('is written by the node itself where they stand in one graph', async () => {
    const { nodes } = await gradient(true);
    const layers = nodes.filter(({ op }) => op === 'LSTM');
    expect(layers).toHaveLength(1);
    expect(layers[0]?.outputs[0]).not.toBe('');
    expect(layers[0]?.outputs[1]).toBe('last');
  });

  it('is computed again where the node is not to be changed, with the same gradient', async () => {
    const [one, two] = [await gradient(true), await gradient(false)];
    expect(two.nodes.filter(({ op }) => op === 'LSTM')).toHaveLength(2);
    expect([...(two.dx?.data ?? [])]).toEqual([...(one.dx?.data ?? [NaN])]);
    expect([...(one.dx?.data ?? [])].some((value) => value !== 0)).toBe(true);
  });
});
