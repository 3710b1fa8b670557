/** Values that are no plain tensors of numbers: texts, narrow types, lists, values that may be missing, types left open. */
import { describe, expect, it } from '@jest/globals';

import { tensor, type Tensor } from '@graft/core/tensor';

import { dataTypeOf } from './data-types.js';
import { exportOnnx } from './export-onnx.js';
import { decodeGraph, encodeGraph } from './graph-file.js';
import { importOnnx } from './import-onnx.js';
import { constant, file, node, value } from './onnx-files.contract.js';
import type { GraphProto, NodeProto, TensorProto, TypeProto, ValueInfoProto } from './onnx-schema.js';
import { runOnnx } from './run-onnx.contract.js';
import { inferShapes } from '../../operators/infer-shapes.js';

const bytesOfText = (content: string): Uint8Array => new TextEncoder().encode(content);
const texts = (name: string, ...content: string[]): TensorProto => ({
  name,
  dims: [content.length],
  dataType: dataTypeOf.string,
  stringData: content.map(bytesOfText),
});
const typed = (name: string, type: TypeProto): ValueInfoProto => ({ name, type });
const floats: TypeProto = { tensorType: { elemType: dataTypeOf.float32, shape: { dim: [{ dimValue: 2 }] } } };
const x = tensor('float32', [2], Float32Array.of(1.5, -2.25));
const int64 = (...numbers: number[]): Tensor => tensor('int64', [], BigInt64Array.from(numbers, BigInt));

const graphOf = (nodes: readonly NodeProto[], output: ValueInfoProto, rest: GraphProto = {}): GraphProto => ({
  node: nodes,
  input: [value('x', [2])],
  output: [output],
  ...rest,
});

/** The outputs of the file, and of the file after import and export. */
async function both(graph: GraphProto): Promise<unknown[]> {
  const bytes = file(graph);
  const model = importOnnx(bytes);
  expect(decodeGraph(encodeGraph(model.graph))).toEqual(model.graph);
  const results = await runOnnx([
    { file: bytes, feeds: { x } },
    { file: exportOnnx(model), feeds: { x } },
  ]);
  return results.map((outputs) =>
    [...outputs].map(([name, { dtype, shape, data }]) => [name, dtype, shape, [...data]]),
  );
}

async function expectSame(graph: GraphProto): Promise<unknown> {
  const [before, after] = await both(graph);
  expect(after).toEqual(before);
  return after;
}

describe('a value of a graph', () => {
  it('may be texts, whose constants stay in the graph', async () => {
    const graph = graphOf(
      [
        node('Constant', '', 'a', { value: { t: texts('', 'one', 'zwölf', '') } }),
        node('StringConcat', 'a b', 'c'),
        node('Equal', 'c d', 'y'),
      ],
      value('y', [3], 'bool'),
      { initializer: [texts('b', 'x', 'y', 'z'), texts('d', 'onex', 'zwölfy', '?')] },
    );
    const { graph: read, weights } = importOnnx(file(graph));
    expect([...weights.keys()]).toEqual([]);
    expect(read.nodes.filter(({ op }) => op === 'Constant').length).toBe(3);
    expect(inferShapes({ graph: read, weights }).get('c')).toEqual({ dtype: 'string', shape: [3] });
    expect(await expectSame(graph)).toEqual([['y', 'bool', [3], [1, 1, 0]]]);
  }, 60_000);

  it('may have 8 or 16 bits that JavaScript has no numbers for, and is a weight then', async () => {
    const half = {
      name: 'h',
      dims: [2],
      dataType: dataTypeOf.bfloat16,
      rawData: Uint8Array.of(0x80, 0x3f, 0x00, 0xc0),
    };
    const eighth = { name: 'e', dims: [2], dataType: dataTypeOf.float8e4m3fn, rawData: Uint8Array.of(0x38, 0xc0) };
    const graph = graphOf(
      [node('Cast', 'h', 'a', { to: { i: 1 } }), node('Cast', 'e', 'b', { to: { i: 1 } }), node('Sum', 'x a b', 'y')],
      value('y', [2]),
      { initializer: [half, eighth] },
    );
    const { graph: read } = importOnnx(file(graph));
    expect(read.weights).toEqual([
      { name: 'h', dtype: 'bfloat16', shape: [2] },
      { name: 'e', dtype: 'float8e4m3fn', shape: [2] },
    ]);
    expect(await expectSame(graph)).toEqual([['y', 'float32', [2], [3.5, -6.25]]]);
  }, 60_000);

  it('may have two elements a byte, whose constants stay in the graph', async () => {
    const packed = { name: 'p', dims: [2], dataType: dataTypeOf.int4, rawData: Uint8Array.of(0xe3) };
    const graph = graphOf(
      [
        constant('s', tensor('float32', [], Float32Array.of(0.5))),
        node('DequantizeLinear', 'p s', 'a'),
        node('Add', 'x a', 'y'),
      ],
      value('y', [2]),
      { initializer: [packed] },
    );
    expect(importOnnx(file(graph)).graph.nodes[0]?.attributes['value']).toEqual({
      kind: 'opaque',
      value: { type: 'int4', shape: [2], data: Uint8Array.of(0xe3) },
    });
    expect(await expectSame(graph)).toEqual([['y', 'float32', [2], [3, -3.25]]]);
  }, 60_000);

  it('may be a list of tensors', async () => {
    const graph = graphOf(
      [
        node('Neg', 'x', 'n'),
        node('SequenceConstruct', 'x n', 's'),
        constant('second', int64(1)),
        node('SequenceAt', 's second', 't'),
        node('ConcatFromSequence', 's', 'c', { axis: { i: 0 } }),
        node('Concat', 'c t', 'y', { axis: { i: 0 } }),
      ],
      value('y', [6]),
    );
    const types = inferShapes(importOnnx(file(graph)));
    expect(types.get('s')).toEqual({ dtype: 'float32', shape: [2], container: 'sequence' });
    expect(types.get('t')).toEqual({ dtype: 'float32', shape: [2] });
    await expectSame(graph);
  }, 60_000);

  it('may be missing', async () => {
    const graph = graphOf(
      [
        node('Optional', 'x', 'o'),
        node('OptionalHasElement', 'o', 'h'),
        node('OptionalGetElement', 'o', 'e'),
        node('Where', 'h e x', 'y'),
      ],
      value('y', [2]),
    );
    expect(inferShapes(importOnnx(file(graph))).get('o')).toEqual({
      dtype: 'float32',
      shape: [2],
      container: 'optional',
    });
    await expectSame(graph);
  }, 60_000);

  it('keeps the type of an input that is a list, or a list that may be missing', () => {
    const input = [
      typed('x', { sequenceType: { elemType: floats } }),
      typed('z', { optionalType: { elemType: { sequenceType: { elemType: floats } } } }),
    ];
    const bytes = file({ node: [node('SequenceLength', 'x', 'y')], input, output: [value('y', [], 'int64')] });
    const model = importOnnx(bytes);
    expect(model.graph.inputs).toEqual([
      { name: 'x', dtype: 'float32', shape: [2], container: 'sequence' },
      { name: 'z', dtype: 'float32', shape: [2], container: 'optional sequence' },
    ]);
    expect(importOnnx(exportOnnx(model)).graph).toEqual(model.graph);
  });

  it('may have a type that a subgraph leaves to the node before', async () => {
    const branch = (op: string): GraphProto => ({
      name: op,
      node: [node(op, 'x', `${op}.r`)],
      output: [{ name: `${op}.r` }],
    });
    const graph = graphOf(
      [
        constant('flag', tensor('bool', [], Uint8Array.of(1))),
        node('If', 'flag', 'y', { then_branch: { g: branch('Neg') }, else_branch: { g: branch('Abs') } }),
      ],
      value('y', [2]),
    );
    expect(inferShapes(importOnnx(file(graph))).get('y')).toEqual({ dtype: 'float32', shape: [2] });
    await expectSame(graph);
  }, 60_000);
});

describe('a subgraph', () => {
  it('may give a constant of its own, or one from around it', async () => {
    const inner: GraphProto = {
      name: 'inner',
      node: [constant('c', x), node('Identity', 'c', 'd')],
      output: [value('c', [2]), value('d', [2])],
    };
    const outer: GraphProto = {
      name: 'outer',
      node: [node('Neg', 'x', 'e'), node('Identity', 'around', 'f')],
      output: [value('e', [2]), value('f', [2])],
    };
    const graph = graphOf(
      [
        constant('flag', tensor('bool', [], Uint8Array.of(1))),
        constant('around', x),
        node('If', 'flag', 'p q', { then_branch: { g: inner }, else_branch: { g: outer } }),
        node('Add', 'p q', 'y'),
      ],
      value('y', [2]),
    );
    expect(await expectSame(graph)).toEqual([['y', 'float32', [2], [3, -4.5]]]);
  }, 60_000);
});

describe('a hostile value', () => {
  const refusal = (graph: GraphProto): string => {
    try {
      importOnnx(file(graph));
      return 'read';
    } catch (error) {
      return error instanceof Error ? `${(error as { code?: string }).code}: ${error.message}` : 'unknown';
    }
  };
  const initial = (proto: TensorProto): GraphProto =>
    graphOf([node('Identity', 'x', 'y')], value('y', [2]), { initializer: [proto] });

  it.each([
    ['fewer texts than its shape', { ...texts('t', 'a'), dims: [3] }, /MALFORMED: .*needs 3 elements, has 1/],
    [
      'more packed elements than bytes',
      { name: 't', dims: [5], dataType: 22, rawData: new Uint8Array(2) },
      /needs 3 bytes, has 2/,
    ],
    [
      'a size past every memory',
      { name: 't', dims: [2 ** 40, 2 ** 40], dataType: 22, rawData: new Uint8Array(2) },
      /MALFORMED: .*has 2/,
    ],
    ['texts that are no UTF-8', { ...texts('t', 'a'), stringData: [Uint8Array.of(0xff)] }, /UNSUPPORTED: .*not UTF-8/],
    ['a negative size', { name: 't', dims: [-1], dataType: dataTypeOf.string }, /MALFORMED: .*negative dimension -1/],
    [
      'data in another file',
      { ...texts('t', 'a'), externalData: [{ key: 'location', value: '/etc/passwd' }] },
      /UNSUPPORTED: .*never read/,
    ],
  ] as [string, TensorProto, RegExp][])('with %s is refused', (_, proto, message) => {
    expect(refusal(initial(proto))).toMatch(message);
  });

  it('that is a map, a sparse tensor, or nested further is refused', () => {
    const optional = (inner: TypeProto): TypeProto => ({ optionalType: { elemType: inner } });
    for (const type of [{ mapType: {} }, { sparseTensorType: {} }, optional(optional(floats)), {}]) {
      const graph = { node: [node('Identity', 'x', 'y')], input: [typed('x', type)], output: [value('y', [2])] };
      expect(refusal(graph)).toMatch(/MODEL_UNSUPPORTED: input 'x' is not declared as a tensor, a sequence/);
    }
  });
});
