import { tensor } from '@graft/core/tensor';

import type { Model } from '../../graph/graph.js';
import { openTfjs } from './tfjs.adapter.js';

const options = { threads: 1, purpose: 'inference' } as const;
const model: Model = {
  graph: {
    name: 'small',
    inputs: [{ name: 'x', dtype: 'float32', shape: ['batch', 2] }],
    outputs: [{ name: 'y', dtype: 'float32', shape: ['batch', 2] }],
    weights: [{ name: 'w', dtype: 'float32', shape: [2] }],
    nodes: [{ name: 'node', op: 'Add', domain: '', inputs: ['x', 'w'], outputs: ['y'], attributes: {} }],
  },
  weights: new Map([['w', tensor('float32', [2], Float32Array.of(10, 20))]]),
};

describe.each(['cpu', 'wasm'] as const)('tfjs on %s', (backend) => {
  it('runs a graph with its weights, for any batch', async () => {
    const runtime = await openTfjs({ backends: [backend] });
    const session = await runtime.load(model, options);
    const { y } = await session.run({ x: tensor('float32', [2, 2], Float32Array.of(1, 2, 3, 4)) });
    expect(runtime.tf.getBackend()).toBe(backend);
    expect(y?.shape).toEqual([2, 2]);
    expect([...(y?.data ?? [])]).toEqual([11, 22, 13, 24]);
    await session.dispose();
  });
});
