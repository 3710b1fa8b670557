import { tensor, type Tensor } from '@graft/core/tensor';

import type { Model } from '../../graph/graph.js';
import { modelOf } from '../gradient-graph.contract.js';
import { patternOf, trainableNames } from './trainable.js';
import type { TrainableScope } from '../training-step.js';

const float = (...shape: number[]): Tensor =>
  tensor('float32', shape, new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(1));

const weights = new Map<string, Tensor>([
  ['unused', float(3)],
  ['block1.conv', float(4, 3, 3, 3)],
  ['block1.bn.scale', float(4)],
  ['block1.bn.bias', float(4)],
  ['block1.bn.mean', float(4)],
  ['block1.bn.var', float(4)],
  ['exponent', float(1)],
  ['half', float()],
  ['block2.w', float(4, 6)],
  ['block2.bias', float(6)],
  ['head.w', float(6, 1)],
  ['head.bias', float(1)],
]);

const model: Model = modelOf(['batch', 3, 5, 5], weights, {
  output: 'logits',
  nodes: (build) => {
    const planes = build.add('Conv', ['x', 'block1.conv']);
    const parts = ['scale', 'bias', 'mean', 'var'].map((part) => `block1.bn.${part}`);
    build.addNamed('BatchNormalization', [planes, ...parts], { outputs: ['planes'] });
    const powers = build.add('Mul', [build.add('Pow', ['planes', 'exponent']), 'half']);
    build.addNamed('ReduceMean', [powers, build.ints([2, 3])], { attributes: { keepdims: 0 }, outputs: ['features'] });
    const hidden = build.add('Relu', [
      build.add('Add', [build.add('MatMul', ['features', 'block2.w']), 'block2.bias']),
    ]);
    return build.add('Add', [build.add('MatMul', [hidden, 'head.w']), 'head.bias']);
  },
});

const block1 = ['block1.conv', 'block1.bn.scale', 'block1.bn.bias'];
const block2 = ['block2.w', 'block2.bias'];
const head = ['head.w', 'head.bias'];

describe('the trainable scope', () => {
  it.each<[string, TrainableScope, readonly string[]]>([
    ['a list', ['half', 'block2.w'], ['half', 'block2.w']],
    ['all', 'all', [...block1, ...block2, ...head]],
    ['head', 'head', head],
    ['from a value on', { from: 'features' }, [...block2, ...head]],
    ['from the node of a value on', { from: 'planes' }, [...block1.slice(1), ...block2, ...head]],
    ['patterns', { matching: ['*.w', 'block?.bias'] }, [...block2, 'head.w']],
    ['a pattern that also fits statistics', { matching: ['block1.bn.*'] }, block1.slice(1)],
  ])('%s chooses its parameters, never statistics or constants', (_, scope, names) => {
    expect(trainableNames(model, scope)).toEqual(names);
  });

  it('names what it does not find', () => {
    expect(() => trainableNames(model, { from: 'nowhere' })).toThrow(/no node or value 'nowhere'/);
    expect(() => trainableNames(model, { matching: ['unused', 'x*'] })).toThrow(
      expect.objectContaining({ code: 'TENSOR_UNKNOWN' }),
    );
  });

  it('takes the signs of other patterns as they are', () => {
    expect(patternOf('a.b[0]/(c)+').test('a.b[0]/(c)+')).toBe(true);
    expect(patternOf('a.b').test('axb')).toBe(false);
    expect(patternOf('*').test('')).toBe(true);
  });

  it('follows a weight that is transposed first, and leaves masks and constants of the code alone', () => {
    const all = new Map<string, Tensor>([
      ['rows', float(5, 3)],
      ['mask', tensor('float32', [1, 5], Float32Array.of(0, 0, -3.4e38, 0, 0))],
      ['/net/Constant_2_output_0', float(5)],
    ]);
    const transposed = modelOf(['batch', 3], all, {
      output: 'logits',
      nodes: (build) => {
        const y = build.add('MatMul', ['x', build.add('Transpose', ['rows'], { perm: [1, 0] })]);
        return build.add('Mul', [build.add('Add', [y, 'mask']), '/net/Constant_2_output_0']);
      },
    });
    expect(trainableNames(transposed, 'head')).toEqual(['rows']);
    expect(trainableNames(transposed, 'all')).toEqual(['rows']);
  });
});
