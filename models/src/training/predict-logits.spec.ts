import { tensor } from '@graft/core/tensor';

import { onnxRuntime } from '../runtime/onnxruntime.adapter.js';
import { modelOf } from './gradient-graph.contract.js';
import { predictLogits } from './predict-logits.js';

describe('prediction', () => {
  it('gives logits of any number of rows in batches', async () => {
    const w = tensor('float32', [2, 3], Float32Array.of(0.1, -0.2, 0.3, 0.2, 0.1, -0.1));
    const model = modelOf(['batch', 2], new Map([['w', w]]), {
      output: 'logits',
      nodes: (build) => build.add('MatMul', ['x', 'w']),
    });
    const features = tensor('float32', [5, 2], Float32Array.of(1, 0, 0, 1, -1, -1, 1, 0.1, 0.1, 1));
    const session = await onnxRuntime.load(model, { threads: 1, purpose: 'inference' });
    const [whole, parts] = [5, 2].map((batchSize) => predictLogits(session, { input: 'x' }, { features, batchSize }));
    expect((await parts)?.shape).toEqual([5, 3]);
    expect((await parts)?.data).toEqual((await whole)?.data);
    await session.dispose();
  });
});
