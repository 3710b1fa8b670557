import type { Attribute, Node } from '../../graph/graph.js';
import { shareNodes } from './share-nodes.js';

const node = (
  op: string,
  inputs: readonly string[],
  output: string,
  attributes: Record<string, Attribute> = {},
): Node => {
  return { name: output, op, domain: '', inputs, outputs: [output], attributes };
};

const told = (nodes: readonly Node[]): string[] =>
  nodes.map(({ op, inputs, outputs }) => `${outputs.join()} = ${op}(${inputs.join()})`);

describe('sharing nodes', () => {
  it('computes equal values once, and values of those too', () => {
    const nodes = [
      node('Exp', ['x'], 'a'),
      node('Exp', ['x'], 'b'),
      node('Neg', ['a'], 'c'),
      node('Neg', ['b'], 'd'),
      node('Add', ['c', 'd'], 'y'),
    ];
    expect(told(shareNodes(nodes, new Set(['y'])))).toEqual(['a = Exp(x)', 'c = Neg(a)', 'y = Add(c,c)']);
  });

  it('keeps nodes that differ in an attribute, an order, or by chance', () => {
    const axis = (value: number): Record<string, Attribute> => ({ axis: { kind: 'int', value } });
    const nodes = [
      node('Softmax', ['x'], 'a', axis(0)),
      node('Softmax', ['x'], 'b', axis(1)),
      node('Sub', ['a', 'b'], 'c'),
      node('Sub', ['b', 'a'], 'd'),
      node('RandomNormal', [], 'e'),
      node('RandomNormal', [], 'f'),
      node('Elu', ['x'], 'g', { alpha: { kind: 'float', value: Infinity } }),
      node('Elu', ['x'], 'h', { alpha: { kind: 'float', value: NaN } }),
    ];
    expect(shareNodes(nodes, new Set())).toEqual(nodes);
  });

  it('keeps the names of outputs, and of what subgraphs read', () => {
    const inner = {
      name: 'inner',
      inputs: [],
      outputs: [{ name: 'z', dtype: 'float32' }],
      weights: [],
      nodes: [node('Neg', ['b'], 'z')],
    } as const;
    const nodes = [
      node('Exp', ['x'], 'a'),
      node('Exp', ['x'], 'b'),
      node('Exp', ['x'], 'y'),
      node('If', ['c'], 'w', { then_branch: { kind: 'graph', value: inner } }),
    ];
    expect(told(shareNodes(nodes, new Set(['y', 'w'])))).toEqual([
      'a = Exp(x)',
      'b = Exp(x)',
      'y = Exp(x)',
      'w = If(c)',
    ]);
  });
});
