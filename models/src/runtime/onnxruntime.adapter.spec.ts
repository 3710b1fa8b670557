import { tensor, type Tensor } from '@graft/core/tensor';

import type { Model } from '../graph/graph.js';
import { onnxRuntime } from './onnxruntime.adapter.js';

const options = { threads: 1, purpose: 'inference' } as const;

/** y = op(x, w) */
function model(op: string, weight: Tensor<'float32'>): Model {
  return {
    graph: {
      name: 'small',
      inputs: [{ name: 'x', dtype: 'float32', shape: ['batch', 2] }],
      outputs: [{ name: 'y', dtype: 'float32', shape: ['batch', 2] }],
      weights: [{ name: 'w', dtype: 'float32', shape: weight.shape }],
      nodes: [{ name: 'node', op, domain: '', inputs: ['x', 'w'], outputs: ['y'], attributes: {} }],
    },
    weights: new Map([['w', weight]]),
  };
}

describe('onnxRuntime', () => {
  it('runs a graph with its weights, for any batch', async () => {
    const session = await onnxRuntime.load(model('Add', tensor('float32', [2], Float32Array.of(10, 20))), options);
    const { y } = await session.run({ x: tensor('float32', [2, 2], Float32Array.of(1, 2, 3, 4)) });
    expect(y?.shape).toEqual([2, 2]);
    expect([...(y?.data ?? [])]).toEqual([11, 22, 13, 24]);
    await session.dispose();
  });

  it('names the graph that it does not load', async () => {
    const unknown = model('NoSuchOperator', tensor('float32', [2], new Float32Array(2)));
    await expect(onnxRuntime.load(unknown, options)).rejects.toMatchObject({
      code: 'RUNTIME_REFUSED',
      message: expect.stringContaining('NoSuchOperator'),
    });
  });

  it('refuses outputs that would end the process, and names them', async () => {
    const { graph, weights } = model('Add', tensor('float32', [2], new Float32Array(2)));
    const packed = { graph: { ...graph, outputs: [{ name: 'y', dtype: 'int4' as const }] }, weights };
    await expect(onnxRuntime.load(packed, options)).rejects.toMatchObject({
      code: 'RUNTIME_REFUSED',
      message: expect.stringMatching(/output 'y' has element type int4/),
    });
  });

  it('names the graph that does not run', async () => {
    const session = await onnxRuntime.load(model('Add', tensor('float32', [2], new Float32Array(2))), options);
    const wrong = { x: tensor('float32', [1, 3], new Float32Array(3)) };
    await expect(session.run(wrong)).rejects.toMatchObject({
      code: 'RUNTIME_FAILED',
      message: expect.stringContaining("'small'"),
    });
    await session.dispose();
  });

  it('writes outputs to the tensors that it is given', async () => {
    const session = await onnxRuntime.load(model('Add', tensor('float32', [2], Float32Array.of(10, 20))), options);
    const target = tensor('float32', [2, 2], new Float32Array(4));
    const x = tensor('float32', [2, 2], Float32Array.of(1, 2, 3, 4));
    const { y } = await session.run({ x }, { y: target });
    expect(y).toBe(target);
    expect([...target.data]).toEqual([11, 22, 13, 24]);
    await session.run({ x: target }, { y: x });
    expect([...x.data]).toEqual([21, 42, 23, 44]);
    await session.dispose();
  });

  it.each([
    ['another shape', { y: tensor('float32', [1, 2], new Float32Array(2)) }],
    ['another type', { y: tensor('float64', [2, 2], new Float64Array(4)) }],
    ['another name', { z: tensor('float32', [2, 2], new Float32Array(4)) }],
  ])('refuses a tensor of %s to write to', async (_, into) => {
    const session = await onnxRuntime.load(model('Add', tensor('float32', [2], Float32Array.of(10, 20))), options);
    const x = tensor('float32', [2, 2], Float32Array.of(1, 2, 3, 4));
    await expect(session.run({ x }, into)).rejects.toMatchObject({ code: 'RUNTIME_FAILED' });
    await session.dispose();
  });
});
