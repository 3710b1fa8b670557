import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';

import { limits } from '@graft/core/limits';
import { tensor } from '@graft/core/tensor';

import { compose } from './compose.js';
import { cutAt } from './cut.js';
import type { Graph, Model, Node, Value } from './graph.js';
import { withHead } from './head.js';
import { renameModel } from './rename.js';
import { topologicalOrder } from './topological-order.js';
import { validateGraph } from './validate.js';

const value = (name: string, ...shape: (number | string)[]): Value => ({ name, dtype: 'float32', shape });

const node = (op: string, inputs: string, outputs: string): Node => ({
  name: `${op}-${outputs}`,
  op,
  domain: '',
  inputs: inputs.split(' ').filter(Boolean),
  outputs: outputs.split(' '),
  attributes: {},
});

const weight = (...numbers: number[]) => tensor('float32', [numbers.length], Float32Array.from(numbers));

/** Features f = x * w, then y = f * v. */
const model: Model = {
  graph: {
    name: 'two layers',
    inputs: [value('x', 'N', 2)],
    outputs: [value('y', 'N', 2)],
    weights: [value('w', 2), value('v', 2)],
    nodes: [node('Mul', 'x w', 'f'), node('Mul', 'f v', 'y')],
  },
  weights: new Map([
    ['w', weight(1, 2)],
    ['v', weight(3, 4)],
  ]),
};

describe('topological order', () => {
  it('keeps nodes where they are when they are in order', () => {
    expect(topologicalOrder(model.graph.nodes)).toEqual(model.graph.nodes);
  });

  it('makes every value before it is read, whatever order the nodes come in', () => {
    fc.assert(
      fc.property(fc.array(fc.array(fc.nat()), { maxLength: 12 }), fc.nat(), (reads, seed) => {
        const nodes = reads.map((from, i) =>
          node('Sum', from.map((number) => `v${number % (i + 1)}`).join(' '), `v${i + 1}`),
        );
        const mixed = nodes.map((one, i) => ({ one, at: (i * 7919 + seed) % 31 })).sort((a, b) => a.at - b.at);
        const made = new Set(['v0']);
        for (const { inputs, outputs } of topologicalOrder(mixed.map(({ one }) => one))) {
          for (const input of inputs) expect(made).toContain(input);
          for (const output of outputs) made.add(output);
        }
        expect(made.size).toBe(nodes.length + 1);
      }),
    );
  });

  it('of a chain as long as a graph may be, given backwards, needs no stack', () => {
    const chain = Array.from({ length: limits.graphNodes }, (_, i) => node('Relu', `v${i}`, `v${i + 1}`));
    expect(topologicalOrder(chain.toReversed())).toEqual(chain);
  });

  it('counts what a subgraph reads from outside', () => {
    const inner: Graph = { name: 'b', inputs: [], outputs: [value('r')], weights: [], nodes: [node('Neg', 'a', 'r')] };
    const branch: Node = { ...node('If', 'c', 'y'), attributes: { then_branch: { kind: 'graph', value: inner } } };
    const before = node('Relu', 'x', 'a');
    expect(topologicalOrder([branch, before])).toEqual([before, branch]);
  });
});

describe('a valid graph', () => {
  it('has no more nodes and no deeper subgraphs than the limits', () => {
    const nodes = Array.from({ length: limits.graphNodes + 1 }, (_, i) => node('Relu', 'x', `v${i}`));
    expect(() => validateGraph({ ...model.graph, nodes })).toThrow(/200001 nodes, the limit is 200000/);
    let inner: Graph = { name: 'b', inputs: [], outputs: [value('x')], weights: [], nodes: [] };
    for (let depth = 0; depth <= limits.graphDepth; depth++) {
      const branch: Node = {
        ...node('If', 'x', `y${depth}`),
        attributes: { then_branch: { kind: 'graph', value: inner } },
      };
      inner = { ...inner, nodes: [branch] };
    }
    expect(() => validateGraph({ ...inner, inputs: [value('x')] })).toThrow(/nested deeper than the limit of 8/);
  });

  it('has nodes in order, each with a name of its own', () => {
    expect(() => validateGraph({ ...model.graph, nodes: model.graph.nodes.toReversed() })).toThrow(
      /reads 'f', which nothing before it makes/,
    );
    const same = model.graph.nodes.map((one) => ({ ...one, name: 'same' }));
    expect(() => validateGraph({ ...model.graph, nodes: same })).toThrow(/two nodes are called 'same'/);
  });
});

describe('cutting and composing', () => {
  it('gives two models that are the first one again', () => {
    const { trunk, tail } = cutAt(model, 'f');
    expect([...trunk.weights.keys()]).toEqual(['w']);
    expect(tail.graph.inputs.map(({ name }) => name)).toEqual(['f']);
    expect(compose(trunk, tail)).toEqual(model);
  });

  it('renames in the trunk what collides, and keeps one copy of equal weights', () => {
    const trunk = renameModel(cutAt(model, 'f').trunk, new Map([['w', 'v']]));
    const { tail } = cutAt(model, 'f');
    const composed = compose(trunk, tail);
    expect([...composed.weights]).toEqual([
      ['trunk/v', weight(1, 2)],
      ['v', weight(3, 4)],
    ]);
    expect(composed.graph.nodes[0]?.inputs).toEqual(['x', 'trunk/v']);
    const twin: Model = { ...trunk, weights: new Map([['v', weight(3, 4)]]) };
    expect(compose(twin, tail).graph.weights.map(({ name }) => name)).toEqual(['v']);
  });

  it('renames nodes of the trunk that share a name with the tail', () => {
    const { trunk, tail } = cutAt(model, 'f');
    const named = (part: Model): Model => ({
      ...part,
      graph: { ...part.graph, nodes: part.graph.nodes.map((one) => ({ ...one, name: 'mul' })) },
    });
    expect(compose(named(trunk), named(tail)).graph.nodes.map(({ name }) => name)).toEqual(['trunk/mul', 'mul']);
  });

  it('keeps one symbol for the batch', () => {
    const { trunk, tail } = cutAt(model, 'f');
    const other: Model = {
      ...tail,
      graph: { ...tail.graph, inputs: [value('f', 'batch', 2)], outputs: [value('y', 'batch', 2)] },
    };
    const first: Model = { ...trunk, graph: { ...trunk.graph, outputs: [value('f', 'N', 2)] } };
    expect(compose(first, other).graph.outputs).toEqual([value('y', 'N', 2)]);
  });

  it('refuses a tail that reads what the trunk does not make', () => {
    const { trunk, tail } = cutAt(model, 'f');
    const stray: Model = { ...tail, graph: { ...tail.graph, inputs: [value('q', 'N', 2)] } };
    expect(() => compose(trunk, stray)).toThrow(expect.objectContaining({ code: 'TENSOR_UNKNOWN' }));
  });

  it('at the input gives an empty trunk', () => {
    const { trunk, tail } = cutAt(model, 'x');
    expect(trunk.graph.nodes).toEqual([]);
    expect(tail.graph.nodes).toEqual(model.graph.nodes);
  });
});

describe('a head', () => {
  const headed = withHead(model, { features: 'f', classes: 3, seed: 5 });

  it('stands on the features, and what came after them is gone', () => {
    expect(headed.graph.nodes.map(({ op }) => op)).toEqual(['Mul', 'Flatten', 'Gemm']);
    expect([...headed.weights.keys()]).toEqual(['w', 'head.weight', 'head.bias']);
    expect(headed.graph.outputs).toEqual([value('logits', 'N', 3)]);
  });

  it('starts from its seed, within 1/sqrt(length)', () => {
    expect(withHead(model, { features: 'f', classes: 3, seed: 5 })).toEqual(headed);
    const other = withHead(model, { features: 'f', classes: 3, seed: 6 }).weights.get('head.weight');
    expect(other).not.toEqual(headed.weights.get('head.weight'));
    const data = [...(headed.weights.get('head.weight')?.data ?? [])].map(Number);
    expect(data).toHaveLength(6);
    expect(Math.max(...data.map(Math.abs))).toBeLessThanOrEqual(Math.fround(1 / Math.sqrt(2)));
  });

  it('needs features of a known length', () => {
    const open: Model = {
      ...model,
      graph: { ...model.graph, inputs: [value('x', 'N', 'W')], weights: [value('w', 'W'), value('v', 'W')] },
    };
    expect(() => withHead(open, { features: 'x', classes: 3, seed: 5 })).toThrow(
      /shape \[N, W\], so their length is not known/,
    );
    expect(withHead(open, { features: 'x', classes: 3, seed: 5, length: 4 }).weights.get('head.weight')?.shape).toEqual(
      [3, 4],
    );
    expect(() => withHead(model, { features: 'x', classes: 3, seed: 5, length: 4 })).toThrow(
      /have 2 numbers an example, not 4/,
    );
    expect(() => withHead(model, { features: 'ghost', classes: 3, seed: 5 })).toThrow(
      expect.objectContaining({ code: 'TENSOR_UNKNOWN' }),
    );
  });
});
