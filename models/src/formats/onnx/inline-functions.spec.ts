/** Functions that a file defines, written in place of their calls, against ONNX Runtime on the file as it is. */
import { describe, expect, it } from '@jest/globals';

import { limits } from '@graft/core/limits';
import { bytesOf, tensor, type Tensor } from '@graft/core/tensor';

import { exportOnnx } from './export-onnx.js';
import { importOnnx } from './import-onnx.js';
import { constant, file, node, value } from './onnx-files.contract.js';
import type { FunctionProto, GraphProto, NodeProto } from './onnx-schema.js';
import { runOnnx } from './run-onnx.contract.js';

const own = 'local';
const call = (opType: string, inputs: string, outputs: string, attributes = {}): NodeProto => ({
  ...node(opType, inputs, outputs, attributes),
  domain: own,
});

const opsetImport = [{ domain: '', version: 21 }];

/** y = alpha * relu(x) + bias, where the bias may be left out. */
const scaled: FunctionProto = {
  name: 'Scaled',
  domain: own,
  input: ['x', 'bias'],
  output: ['y', 'rectified'],
  attributeProto: [{ name: 'alpha', type: 1, f: 3 }],
  attribute: ['shift'],
  opsetImport,
  node: [
    { opType: 'Constant', output: ['a'], attribute: [{ name: 'value_float', type: 1, refAttrName: 'alpha' }] },
    { opType: 'Constant', output: ['s'], attribute: [{ name: 'value_float', type: 1, refAttrName: 'shift' }] },
    node('Relu', 'x', 'rectified'),
    node('Mul', 'rectified a', 't'),
    node('Add', 't s', 'u'),
    node('Sum', 'u bias', 'y'),
  ],
};

/** A function that calls another. */
const twice: FunctionProto = {
  name: 'Twice',
  domain: own,
  input: ['x'],
  output: ['y', 'copy'],
  opsetImport: [...opsetImport, { domain: own, version: 1 }],
  node: [
    call('Scaled', 'x x', 't r', { shift: { f: 0.5 } }),
    call('Scaled', 't t', 'y q', { shift: { f: -1 }, alpha: { f: 0.25 } }),
    node('Identity', 'x', 'copy'),
  ],
};

function fileOf(graph: GraphProto, functions: readonly FunctionProto[]): Uint8Array {
  return file(graph, 21, { functions, opsetImport: [...opsetImport, { domain: own, version: 1 }] });
}

const graphOf = (nodes: readonly NodeProto[]): GraphProto => ({
  node: nodes,
  input: [value('x', [2, 2])],
  output: [value('y', [2, 2])],
});

const x = tensor('float32', [2, 2], Float32Array.of(-1, 2, 0.5, -3));
const bits = (outputs: ReadonlyMap<string, Tensor> | undefined): unknown =>
  [...(outputs ?? [])].map(([name, result]) => [name, result.shape, [...bytesOf(result)]]);

async function expectSame(bytes: Uint8Array): Promise<void> {
  const [before, after] = await runOnnx([
    { file: bytes, feeds: { x } },
    { file: exportOnnx(importOnnx(bytes)), feeds: { x } },
  ]);
  expect(before?.size).toBeGreaterThan(0);
  expect(bits(after)).toEqual(bits(before));
}

describe('the functions of a model', () => {
  it('stand in place of their calls, one within the other', async () => {
    const bytes = fileOf(
      graphOf([call('Twice', 'x', 'a c'), call('Twice', 'a', 'b copy'), node('Add', 'b copy', 'y')]),
      [scaled, twice],
    );
    const { graph } = importOnnx(bytes);
    expect(new Set(graph.nodes.map(({ op }) => op))).toEqual(new Set(['Relu', 'Mul', 'Add', 'Sum', 'Identity']));
    expect(graph.nodes.every(({ domain }) => domain === '')).toBe(true);
    await expectSame(bytes);
  }, 60_000);

  it('may be called in the body of an operator, and read what is around it', async () => {
    const branch = (name: string, shift: number): GraphProto => ({
      name,
      node: [call('Scaled', 'x x', `${name} ${name}.r`, { shift: { f: shift } })],
      output: [value(name, [2, 2])],
    });
    const choice = node('If', 'flag', 'y', { then_branch: { g: branch('p', 1) }, else_branch: { g: branch('q', 2) } });
    const flag = constant('flag', tensor('bool', [], Uint8Array.of(0)));
    await expectSame(fileOf(graphOf([flag, choice]), [scaled]));
  }, 60_000);

  const refusal = (nodes: readonly NodeProto[], functions: readonly FunctionProto[]): string => {
    try {
      importOnnx(fileOf(graphOf(nodes), functions));
      return 'read';
    } catch (error) {
      return error instanceof Error ? `${(error as { code?: string }).code}: ${error.message}` : 'unknown';
    }
  };
  const chained = (name: string, calls: readonly NodeProto[]): FunctionProto => ({
    name,
    domain: own,
    input: ['x'],
    output: ['y'],
    opsetImport: [{ domain: own, version: 1 }],
    node: calls,
  });

  it('may pass an input on as it is', () => {
    const same = { ...chained('Same', []), output: ['x'] };
    const { graph } = importOnnx(fileOf(graphOf([call('Same', 'x', 'y')]), [same]));
    expect(graph.nodes.map(({ op, inputs, outputs }) => [op, inputs, outputs])).toEqual([['Identity', ['x'], ['y']]]);
  });

  it('that call themselves are refused', () => {
    const around = [chained('A', [call('B', 'x', 'y')]), chained('B', [call('A', 'x', 'y')])];
    expect(refusal([call('A', 'x', 'y')], around)).toMatch(/MODEL_MALFORMED: function 'A' calls itself/);
  });

  it('that stand twice, or have other versions of an operator, are refused', () => {
    expect(refusal([call('Scaled', 'x x', 'y')], [scaled, scaled])).toMatch(/MODEL_MALFORMED: two functions/);
    const old = { ...chained('A', [node('ReduceMean', 'x', 'y')]), opsetImport: [{ domain: '', version: 13 }] };
    expect(refusal([call('A', 'x', 'y')], [old])).toMatch(/MODEL_UNSUPPORTED: .*ReduceMean of opset 13.*opset 21/);
  });

  it('that nest or double past a limit are refused', () => {
    const doubling = Array.from({ length: 30 }, (_, i) =>
      chained(`F${i}`, [call(`F${i + 1}`, 'x', 't'), call(`F${i + 1}`, 't', 'y')]),
    );
    const last = { ...chained('F30', [node('Relu', 'x', 'y')]), opsetImport };
    expect(refusal([call('F0', 'x', 'y')], [...doubling, last])).toMatch(/MODEL_TOO_LARGE: .*limit of 200000/);
    const deep = Array.from({ length: limits.functionDepth + 1 }, (_, i) =>
      chained(`D${i}`, [call(`D${i + 1}`, 'x', 'y')]),
    );
    expect(refusal([call('D0', 'x', 'y')], deep)).toMatch(/MODEL_TOO_LARGE: .*limit of 64/);
  });

  it('that a file does not have are operators that are not known', () => {
    expect(refusal([call('Nowhere', 'x', 'y')], [scaled])).toMatch(/MODEL_UNSUPPORTED: .*local\.Nowhere/);
  });
});
