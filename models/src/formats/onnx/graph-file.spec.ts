import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';

import { GraftError } from '@graft/core/error';
import { bytesPerElement, tensor, type DType } from '@graft/core/tensor';

import type { Attribute, Dimension, Graph, Node, Value } from '../../graph/graph.js';
import { decodeGraph, encodeGraph } from './graph-file.js';
import { file, node, value } from './onnx-files.contract.js';
import { writeTensor } from './tensor-proto.js';

const dtype = fc.constantFrom(...(Object.keys(bytesPerElement) as DType[]));
const dimension: fc.Arbitrary<Dimension> = fc.oneof(fc.nat({ max: 2 ** 40 }), fc.constantFrom('N', 'batch', 'x.1'));
const type = fc.record({ dtype, shape: fc.array(dimension, { maxLength: 4 }) }, { requiredKeys: ['dtype'] });
const int = fc.integer({ min: -(2 ** 53) + 1, max: 2 ** 53 - 1 });
const float = fc.float({ noNaN: true }).map((number) => Math.fround(number));

const attribute: fc.Arbitrary<Attribute> = fc.oneof(
  int.map((number): Attribute => ({ kind: 'int', value: number })),
  float.map((number): Attribute => ({ kind: 'float', value: number })),
  fc.string().map((text): Attribute => ({ kind: 'string', value: text })),
  fc.array(int).map((numbers): Attribute => ({ kind: 'ints', value: numbers })),
  fc.array(float).map((numbers): Attribute => ({ kind: 'floats', value: numbers })),
  fc.array(fc.string()).map((texts): Attribute => ({ kind: 'strings', value: texts })),
  fc.uint8Array().map((data): Attribute => ({ kind: 'tensor', value: tensor('uint8', [data.length], data) })),
);

/** Any graph: each node reads values made before it. */
const graphs: fc.Arbitrary<Graph> = fc
  .record({
    inputs: fc.array(type, { maxLength: 3 }),
    weights: fc.array(type, { maxLength: 3 }),
    nodes: fc.array(
      fc.record({
        op: fc.constantFrom('Relu', 'Add', 'Anything'),
        domain: fc.constantFrom('', 'com.microsoft'),
        reads: fc.array(fc.nat(), { maxLength: 3 }),
        attributes: fc.dictionary(fc.string({ minLength: 1 }), attribute, { maxKeys: 4, noNullPrototype: true }),
      }),
      { minLength: 1, maxLength: 6 },
    ),
  })
  .map(({ inputs, weights, nodes }) => {
    const values = (prefix: string, types: readonly Omit<Value, 'name'>[]): Value[] =>
      types.map((one, i) => ({ name: `${prefix}${i}`, ...one }));
    const made = [...values('in', inputs), ...values('w', weights)].map(({ name }) => name);
    const built = nodes.map(({ reads, ...rest }, i): Node => {
      const names = reads.map((read) => made[read % (made.length + 1)] ?? '');
      made.push(`v${i}`);
      return { ...rest, name: `n${i}`, inputs: names, outputs: [`v${i}`] };
    });
    const outputs: Value[] = [{ name: `v${nodes.length - 1}`, dtype: 'float32', shape: ['N', 0] }];
    return { name: 'g', inputs: values('in', inputs), weights: values('w', weights), outputs, nodes: built };
  });

describe('a graph file', () => {
  it('gives back the graph that was written', () => {
    fc.assert(
      fc.property(graphs, (graph) => expect(decodeGraph(encodeGraph(graph))).toEqual(graph)),
      { numRuns: 300 },
    );
  });

  it('is the same bytes for the same graph, whatever order attributes were set in', () => {
    fc.assert(
      fc.property(graphs, (graph) => {
        const turned = graph.nodes.map((one) => ({
          ...one,
          attributes: Object.fromEntries(Object.entries(one.attributes).reverse()),
        }));
        expect(encodeGraph({ ...graph, nodes: turned })).toEqual(encodeGraph(graph));
      }),
    );
  });

  it('keeps subgraphs', () => {
    const inner: Graph = {
      name: 'then',
      inputs: [],
      outputs: [{ name: 'r', dtype: 'float32', shape: [] }],
      weights: [],
      nodes: [{ name: 'm', op: 'Neg', domain: '', inputs: ['x'], outputs: ['r'], attributes: {} }],
    };
    const branch: Node = {
      name: 'if',
      op: 'If',
      domain: '',
      inputs: ['c'],
      outputs: ['y'],
      attributes: { then_branch: { kind: 'graph', value: inner } },
    };
    const graph: Graph = {
      name: 'outer',
      inputs: [
        { name: 'x', dtype: 'float32', shape: [] },
        { name: 'c', dtype: 'bool', shape: [] },
      ],
      outputs: [{ name: 'y', dtype: 'float32', shape: [] }],
      weights: [],
      nodes: [branch],
    };
    expect(decodeGraph(encodeGraph(graph))).toEqual(graph);
  });

  it('is refused where it is an ordinary model, stores weights or counts wrong', () => {
    const graph = { node: [node('Relu', 'x', 'y')], input: [value('x', [2])], output: [value('y', [2])] };
    const counted = (count: string): { metadataProps: { key: string; value: string }[] } => ({
      metadataProps: [{ key: 'graft.weights', value: count }],
    });
    const refusal = (bytes: Uint8Array): string => {
      try {
        decodeGraph(bytes);
        return 'read';
      } catch (error) {
        return error instanceof GraftError ? `${error.code}: ${error.message}` : String(error);
      }
    };
    expect(decodeGraph(file(graph, 21, counted('1'))).weights).toHaveLength(1);
    expect(refusal(file(graph))).toMatch(/MODEL_MALFORMED: .*no entry 'graft.weights'/);
    expect(refusal(file(graph, 20, counted('0')))).toMatch(/MODEL_MALFORMED: .*opset 20, expected 21/);
    expect(refusal(file(graph, 21, counted('2')))).toMatch(/MODEL_MALFORMED: .*declares 2 weights and 1 inputs/);
    expect(refusal(file(graph, 21, counted('-1')))).toMatch(/MODEL_MALFORMED: .*declares -1 weights/);
    expect(refusal(file(graph, 21, counted('many')))).toMatch(/MODEL_MALFORMED: .*not a graph file/);
    const stored = { ...graph, initializer: [writeTensor('w', tensor('uint8', [1], Uint8Array.of(1)))] };
    expect(refusal(file(stored, 21, counted('0')))).toMatch(/MODEL_MALFORMED: .*stores 1 tensors/);
    expect(refusal(new Uint8Array())).toMatch(/MODEL_MALFORMED: .*not a graph file/);
  });
});
