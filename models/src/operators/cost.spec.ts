import { tensor } from '@graft/core/tensor';

import { modelOf } from '../training/gradient-graph.contract.js';
import { costOf } from './cost.js';

const w = tensor('float32', [8, 4], new Float32Array(32));

/** [batch, 8] -> Relu -> MatMul -> [batch, 4]. */
const model = modelOf(['batch', 8], new Map([['w', w]]), {
  output: 'y',
  nodes: (build) => build.add('MatMul', [build.add('Relu', ['x']), 'w']),
});

describe('the cost of a graph', () => {
  it('counts a product as two operations an entry and adds the operators up', () => {
    expect(costOf(model, { x: [16, 8] }).flops).toBe(16 * 8 + 2 * 16 * 8 * 4);
  });

  it('has the bytes of the weights, and grows with the batch where values do', () => {
    const [one, many] = [costOf(model, { x: [1, 8] }), costOf(model, { x: [10, 8] })];
    expect(one.weightBytes).toBe(32 * 4);
    expect(many.weightBytes).toBe(one.weightBytes);
    expect(many.peakBytes).toBe(10 * one.peakBytes);
  });

  it('holds a value only until its last use', () => {
    // x and relu(x) live together, then relu(x) and y.
    expect(costOf(model, { x: [1, 8] }).peakBytes).toBe((8 + 8) * 4);
  });
});
