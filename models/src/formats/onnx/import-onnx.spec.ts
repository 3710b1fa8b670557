import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';

import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';
import { tensor } from '@graft/core/tensor';

import { importOnnx } from './import-onnx.js';
import { constant, file, node, value } from './onnx-files.contract.js';
import type { GraphProto, TensorProto } from './onnx-schema.js';
import { writeTensor } from './tensor-proto.js';

const two = tensor('float32', [2], Float32Array.of(1, -2));
const scalar = tensor('float32', [], Float32Array.of(3));

const relu: GraphProto = {
  node: [node('Relu', 'x', 'y')],
  input: [value('x', ['N', 2])],
  output: [value('y', ['N', 2])],
};

const branch = (of: string): GraphProto => ({
  name: 'branch',
  node: [constant('c', scalar), node('Mul', `${of} c`, 'r')],
  output: [value('r', ['N', 2])],
});

/** Everything at once: a constant, an initializer that is also an input, typed data, a subgraph, an attribute of each kind. */
const rich: GraphProto = {
  node: [
    node('If', 'flag', 'z', { then_branch: { g: branch('y') }, else_branch: { g: branch('x') } }),
    node('Mul', 'x w', 'y'),
    constant('flag', tensor('bool', [], Uint8Array.of(1))),
    node('Clip', 'z low', 'out'),
    node('Transpose', 'out', 'turned', { perm: { ints: [1, 0] } }),
  ],
  initializer: [writeTensor('w', two), { name: 'low', dims: [], dataType: 1, floatData: [-1] }],
  input: [value('x', ['N', 2]), value('w', [2])],
  output: [value('turned', [2, 'N'])],
};

/** The error of importing a file, as 'CODE: message'. */
function refusal(bytes: Uint8Array): string {
  try {
    importOnnx(bytes);
    return 'read';
  } catch (error) {
    return error instanceof GraftError ? `${error.code}: ${error.message}` : String(error);
  }
}

describe('an ONNX file', () => {
  it('becomes a graph and its weights: constants and initializers alike', () => {
    const { graph, weights } = importOnnx(file(rich));
    expect(graph.inputs).toEqual([{ name: 'x', dtype: 'float32', shape: ['N', 2] }]);
    expect(graph.outputs).toEqual([{ name: 'turned', dtype: 'float32', shape: [2, 'N'] }]);
    expect(graph.nodes.map(({ op }) => op)).toEqual(['Mul', 'If', 'Clip', 'Transpose']);
    expect(graph.weights.map(({ name }) => name)).toEqual([...weights.keys()]);
    expect(weights.get('w')).toEqual(two);
    expect(weights.get('low')?.data).toEqual(Float32Array.of(-1));
    expect(graph.nodes[3]?.attributes).toEqual({ perm: { kind: 'ints', value: [1, 0] } });
  });

  it('gives the constants of subgraphs a name of their own at the top', () => {
    const { graph, weights } = importOnnx(file(rich));
    const branches = ['If_z/then_branch/c', 'If_z/else_branch/c'];
    for (const name of branches) expect(weights.get(name)?.data).toEqual(scalar.data);
    const then = graph.nodes[1]?.attributes['then_branch'];
    expect(then?.kind === 'graph' && then.value.nodes[0]?.inputs).toEqual(['y', 'If_z/then_branch/c']);
    expect(then?.kind === 'graph' && then.value.weights).toEqual([]);
  });

  it('gives raw data as views, without a copy', () => {
    const bytes = file({ ...relu, initializer: [writeTensor('b', tensor('uint8', [3], Uint8Array.of(7, 8, 9)))] });
    expect(importOnnx(bytes).weights.get('b')?.data.buffer).toBe(bytes.buffer);
  });

  it('gets names for nodes that have none or share one', () => {
    const anonymous = { ...node('Relu', 'x', 'a'), name: '' };
    const graph = {
      ...relu,
      node: [anonymous, { ...node('Relu', 'a', 'b'), name: 'same' }, { ...node('Relu', 'b', 'y'), name: 'same' }],
    };
    expect(importOnnx(file(graph)).graph.nodes.map(({ name }) => name)).toEqual(['Relu:a', 'same', 'same#2']);
  });

  it('keeps a dimension that says nothing apart from all others', () => {
    const shapeless = { name: 'x', type: { tensorType: { elemType: 1, shape: { dim: [{}, {}] } } } };
    expect(importOnnx(file({ ...relu, input: [shapeless] })).graph.inputs[0]?.shape).toEqual(['x.0', 'x.1']);
  });

  it('reads each kind of typed data', () => {
    const typed = (dataType: number, data: TensorProto): TensorProto => ({ name: 't', dims: [2], dataType, ...data });
    const read = (proto: TensorProto): unknown =>
      importOnnx(file({ ...relu, initializer: [proto] })).weights.get('t')?.data;
    expect(read(typed(1, { floatData: [1.5, -2] }))).toEqual(Float32Array.of(1.5, -2));
    expect(read(typed(2, { int32Data: [255, 1] }))).toEqual(Uint8Array.of(255, 1));
    expect(read(typed(3, { int32Data: [-128, 1] }))).toEqual(Int8Array.of(-128, 1));
    expect(read(typed(6, { int32Data: [-7, 7] }))).toEqual(Int32Array.of(-7, 7));
    expect(read(typed(7, { int64Data: [-1, 2 ** 40] }))).toEqual(BigInt64Array.of(-1n, 1n << 40n));
    expect(read(typed(9, { int32Data: [1, 0] }))).toEqual(Uint8Array.of(1, 0));
    expect(read(typed(10, { int32Data: [0x3c00, 0x7bff] }))).toEqual(Uint16Array.of(0x3c00, 0x7bff));
    expect(read(typed(11, { doubleData: [0.1, 2] }))).toEqual(Float64Array.of(0.1, 2));
    expect(read(typed(13, { uint64Data: [5, 6] }))).toEqual(BigUint64Array.of(5n, 6n));
  });
});

describe('an operator that is not known', () => {
  it('is refused by node, operator and versions', () => {
    expect(refusal(file({ ...relu, node: [node('Frobnicate', 'x', 'y')] }, 9))).toMatch(
      /MODEL_UNSUPPORTED: .*'Frobnicate_y' uses operator Frobnicate.*opset 9 to 21/,
    );
    const foreign = { ...node('Relu', 'x', 'y'), domain: 'com.example' };
    expect(refusal(file({ ...relu, node: [foreign] }))).toMatch(/MODEL_UNSUPPORTED: .*com\.example\.Relu/);
  });

  it('in its version, or after ours, is refused with both versions', () => {
    expect(refusal(file({ ...relu, node: [node('Gelu', 'x', 'y')] }, 9))).toMatch(
      /MODEL_UNSUPPORTED: .*Gelu of opset 20; the file has opset 9/,
    );
    expect(refusal(file(relu, 0))).toMatch(/MODEL_UNSUPPORTED: .*opset 0; opsets 1 to 26/);
    expect(refusal(file(relu, 27))).toMatch(/MODEL_UNSUPPORTED: .*opset 27; opsets 1 to 26/);
    const precise = node('Cast', 'x', 'y', { to: { i: 1 }, round_mode: { s: new Uint8Array() } });
    expect(refusal(file({ ...relu, node: [precise] }, 24))).toMatch(
      /MODEL_UNSUPPORTED: .*'round_mode', which came after opset 21/,
    );
  });

  it('stands beside those of opsets 22 to 24 that have not changed meaning, which are read', () => {
    for (const opset of [22, 23, 24]) expect(importOnnx(file(relu, opset)).graph.nodes).toHaveLength(1);
  });
});

describe('a hostile ONNX file', () => {
  it('cut off at any byte is refused', () => {
    const bytes = file(rich);
    for (let length = 0; length < bytes.length; length++) {
      expect(() => importOnnx(bytes.slice(0, length))).toThrow(GraftError);
    }
  });

  it('with any bytes changed is read or refused, and nothing else', () => {
    const bytes = file(rich);
    const change = fc.tuple(fc.nat({ max: bytes.length - 1 }), fc.nat({ max: 255 }));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const changed = bytes.slice();
        for (const [at, byte] of changes) changed[at] = byte;
        expect(refusal(changed)).toMatch(/^(MODEL_[A-Z_]+: |read)/);
      }),
      { numRuns: 3000 },
    );
  });

  it('that keeps data outside is refused, and the other file is not read', () => {
    const external = {
      name: 'w',
      dims: [2],
      dataType: 1,
      dataLocation: 1,
      externalData: [{ key: 'location', value: '../../etc/passwd' }],
    };
    expect(refusal(file({ ...relu, initializer: [external] }))).toMatch(
      /MODEL_UNSUPPORTED: .*another file \("\.\.\/\.\.\/etc\/passwd"\); external data are never read/,
    );
    const unmarked = { ...external, dataLocation: 0 };
    expect(refusal(file({ ...relu, initializer: [unmarked] }))).toMatch(
      /MODEL_UNSUPPORTED: .*external data are never read/,
    );
    const hidden = node('Constant', '', 'c', { value: { t: external } });
    expect(refusal(file({ ...relu, node: [hidden, node('Relu', 'x', 'y')] }))).toMatch(
      /MODEL_UNSUPPORTED: .*external data are never read/,
    );
  });

  it('may have constants up to the largest int64, by which exporters mean the end of an axis', () => {
    const largest = { low: -1, high: 0x7fffffff, unsigned: false, toNumber: () => 2 ** 63 };
    const ends = node('Constant', '', 'ends', { value_ints: { ints: [largest, -7] } });
    const starts = node('Constant', '', 'starts', { value_ints: { ints: [0, 0] } });
    const { weights } = importOnnx(file({ ...relu, node: [starts, ends, node('Slice', 'x starts ends', 'y')] }));
    expect(weights.get('ends')?.data).toEqual(BigInt64Array.of(2n ** 63n - 1n, -7n));
  });

  it('with a cycle is refused by the nodes on it', () => {
    const cyclic = [node('Add', 'x b', 'a'), node('Relu', 'a', 'b'), node('Relu', 'b', 'y')];
    expect(refusal(file({ ...relu, node: cyclic }))).toMatch(
      /MODEL_MALFORMED: .*cycle: 'Add_a' needs 'Relu_b' needs 'Add_a'/,
    );
    expect(refusal(file({ ...relu, node: [node('Relu', 'y', 'y')] }))).toMatch(/MODEL_MALFORMED: .*cycle/);
  });

  it.each<[string, GraphProto, RegExp]>([
    ['an input that nobody makes', { ...relu, node: [node('Add', 'x ghost', 'y')] }, /'Add_y' \(Add\) reads 'ghost'/],
    ['a value made twice', { ...relu, node: [node('Relu', 'x', 'y'), node('Neg', 'x', 'y')] }, /'y' is made twice/],
    ['a value made by a node and a weight', { ...relu, initializer: [writeTensor('y', two)] }, /'y' is made twice/],
    [
      'an output declared twice',
      { ...relu, output: [value('y', [2]), value('y', [2])] },
      /output 'y' is declared twice/,
    ],
    ['an output that nothing makes', { ...relu, output: [value('q', [2])] }, /output 'q' is made by nothing/],
    ['no output', { ...relu, output: [] }, /no output/],
    [
      'two initializers of one name',
      { ...relu, initializer: [writeTensor('w', two), writeTensor('w', two)] },
      /called 'w'/,
    ],
    ['a negative dimension of an input', { ...relu, input: [value('x', [-1, 2])] }, /negative dimension -1/],
    [
      'a negative dimension of a weight',
      { ...relu, initializer: [{ name: 'w', dims: [-2], dataType: 1 }] },
      /negative dimension -2/,
    ],
    ['a dimension past 2^53', { ...relu, input: [value('x', [2 ** 60])] }, /past 2\^53/],
    [
      'raw data of the wrong length',
      { ...relu, initializer: [{ name: 'w', dims: [3], dataType: 1, rawData: new Uint8Array(8) }] },
      /needs 12 bytes, has 8/,
    ],
    [
      'a size far past its data',
      { ...relu, initializer: [{ name: 'w', dims: [2 ** 40, 2 ** 40], dataType: 1, floatData: [1] }] },
      /needs .* elements, has 1/,
    ],
    [
      'data of another type than declared',
      { ...relu, initializer: [{ name: 'w', dims: [1], dataType: 1, doubleData: [1] }] },
      /needs 1 elements, has 0/,
    ],
    [
      'an unknown element type',
      { ...relu, input: [{ name: 'x', type: { tensorType: { elemType: 99 } } }] },
      /unknown element type 99/,
    ],
    [
      'a constant without a value',
      { ...relu, node: [node('Constant', '', 'c'), node('Relu', 'x', 'y')] },
      /exactly one attribute/,
    ],
    ['a node without operator', { ...relu, node: [node('', 'x', 'y')] }, /has no operator/],
  ])('with %s is refused', (_, graph, message) => {
    expect(refusal(file(graph))).toMatch(message);
  });

  it('with an attribute of the wrong kind is refused', () => {
    expect(refusal(file({ ...relu, node: [node('Softmax', 'x', 'y', { axis: { f: 1 } })] }, 9))).toMatch(
      /MODEL_MALFORMED: .*'axis' of node 'Softmax_y' is float, not int/,
    );
  });

  it('with element types or parts that are not supported is refused by name', () => {
    const unknown = { name: 'x', type: { tensorType: { elemType: 99 } } };
    expect(refusal(file({ ...relu, input: [unknown] }))).toMatch(
      /MODEL_MALFORMED: .*input 'x' has the unknown element type 99/,
    );
    expect(refusal(file({ ...relu, input: [{ name: 'x' }] }))).toMatch(/MODEL_UNSUPPORTED: .*not declared as a tensor/);
    expect(refusal(file({ ...relu, sparseInitializer: [{}] }))).toMatch(/MODEL_UNSUPPORTED: .*sparse/);
    expect(refusal(file(relu, 21, { opsetImport: [] }))).toMatch(/MODEL_MALFORMED: .*no version/);
  });

  it('with subgraphs nested past the limit is refused', () => {
    let inner: GraphProto = branch('x');
    for (let depth = 0; depth <= limits.graphDepth; depth++) {
      inner = {
        name: 'b',
        node: [node('If', 'flag', 'r', { then_branch: { g: inner }, else_branch: { g: branch('x') } })],
        output: [value('r', [])],
      };
    }
    const graph = {
      ...relu,
      node: [constant('flag', tensor('bool', [], Uint8Array.of(1))), ...(inner.node ?? []), node('Relu', 'r', 'y')],
    };
    expect(refusal(file(graph))).toMatch(/MODEL_TOO_LARGE: .*nested deeper than the limit of 8/);
  });

  it('of messages nested a thousand deep is refused, not recursed into', () => {
    let bytes: number[] = [];
    for (let depth = 0; depth < 1000; depth++) {
      // Graph.node(1) { attribute(5) { g(6) { ... } } }
      for (const tag of [0x32, 0x2a, 0x0a]) bytes = [tag, ...varint(bytes.length), ...bytes];
    }
    expect(refusal(Uint8Array.from([0x3a, ...varint(bytes.length), ...bytes]))).toMatch(
      /MODEL_MALFORMED: .*nested too deeply/,
    );
  });

  it('of more nodes than the limit is refused', () => {
    const many = Array.from({ length: limits.graphNodes + 1 }, () => ({}));
    expect(refusal(file({ ...relu, node: many }))).toMatch(/MODEL_TOO_LARGE: .*more nodes than the limit of 200000/);
  });

  it('whose fields would fill the memory is refused before it is decoded', () => {
    // 20 MB of empty nodes, two bytes each: 10 million objects.
    const nodes = new Uint8Array(20_000_000);
    for (let i = 0; i < nodes.length; i += 2) nodes[i] = 0x0a;
    const header = Uint8Array.from([0x3a, ...varint(nodes.length)]);
    const bytes = new Uint8Array(header.length + nodes.length);
    bytes.set(header);
    bytes.set(nodes, header.length);
    expect(refusal(bytes)).toMatch(/MODEL_TOO_LARGE: .*would take over \d+ bytes of memory, the limit is 2147483648/);
  });

  it('past the size limit is refused unread', () => {
    expect(refusal(new Uint8Array(limits.onnxBytes + 1))).toMatch(
      /MODEL_TOO_LARGE: .*2147483648 bytes, the limit is 2147483647/,
    );
  });
});

function varint(length: number): number[] {
  return length < 128 ? [length] : [(length & 127) | 128, ...varint(length >>> 7)];
}
