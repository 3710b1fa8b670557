import { tensor, type Tensor } from '@graft/core/tensor';

import type { Model } from '../graph/graph.js';
import type { GraphBuilder } from '../operators/graph-builder.js';
import { buildTrainingStep } from './build-training-step.js';
import { modelOf } from './gradient-graph.contract.js';

const float = (shape: readonly number[], ...data: number[]): Tensor<'float32'> =>
  tensor('float32', shape, Float32Array.from(data));

const weights = new Map([
  ['w', float([2, 3], 0.1, -0.2, 0.3, 0.2, 0.1, -0.1)],
  ['mean', float([2], 0, 0)],
  ['variance', float([2], 1, 1)],
  ['unused', float([1], 1)],
]);

function linear(change: (x: string, build: GraphBuilder) => string = (x) => x) {
  return modelOf(['batch', 2], weights, {
    output: 'logits',
    nodes: (build) => build.add('MatMul', [change('x', build), 'w']),
  });
}

const step = (model: Model, trainable: readonly string[]) => () =>
  buildTrainingStep(model, { trainable, loss: 'softmax-cross-entropy', optimizer: { kind: 'sgd' } });

describe('a training step', () => {
  it('names a weight that the model does not have, or that does not reach the logits', () => {
    expect(step(linear(), ['v'])).toThrow(expect.objectContaining({ code: 'TENSOR_UNKNOWN' }));
    expect(step(linear(), ['unused'])).toThrow(/'unused' has no influence on the logits/);
  });

  it('names the node that has no gradient', () => {
    const hard = modelOf(['batch', 2], weights, {
      output: 'logits',
      nodes: (build) => build.add('Hardmax', [build.add('MatMul', ['x', 'w'])]),
    });
    expect(step(hard, ['w'])).toThrow(/\(Hardmax\) lies on the way from the loss/);
  });

  it('does not train running statistics', () => {
    const model = linear((x, build) => build.add('BatchNormalization', [x, 'variance', 'mean', 'mean', 'variance']));
    expect(step(model, ['variance'])).toThrow(/running statistics, which are constants/);
  });

  it('names an operator that is not in the table', () => {
    const { graph } = linear();
    const strange = {
      name: 'strange',
      op: 'NoSuchOperator',
      domain: '',
      inputs: ['x'],
      outputs: ['z'],
      attributes: {},
    };
    const model = { graph: { ...graph, nodes: [strange, ...graph.nodes] }, weights };
    expect(step(model, ['w'])).toThrow(/'strange' is a NoSuchOperator, which is not in the operator table/);
  });
});
