/** Operators of one runtime's own are for its sessions, never for files. */
import type { Graph, Model, Node } from '../../graph/graph.js';
import { encodeOnnx, exportOnnx } from './export-onnx.js';
import { importOnnx } from './import-onnx.js';

const own: Node = {
  name: 'blocked',
  op: 'ReorderInput',
  domain: 'com.microsoft.nchwc',
  inputs: ['x'],
  outputs: ['y'],
  attributes: {},
};

const graphOf = (nodes: readonly Node[]): Graph => ({
  name: 'own',
  inputs: [{ name: 'x', dtype: 'float32', shape: [1, 8, 2, 2] }],
  outputs: [{ name: 'y', dtype: 'float32' }],
  weights: [],
  nodes,
});
const modelOf = (nodes: readonly Node[]): Model => ({ graph: graphOf(nodes), weights: new Map() });

describe('operators that are one runtime own', () => {
  it('are refused in a file, with the name of the node', () => {
    expect(() => exportOnnx(modelOf([own]))).toThrow(/'blocked' \(ReorderInput\) is of domain com\.microsoft\.nchwc/);
    expect(() => exportOnnx(modelOf([own]))).toThrow(expect.objectContaining({ code: 'MODEL_UNSUPPORTED' }));
  });

  it('are refused in the body of an operator', () => {
    const condition: Node = {
      name: 'choice',
      op: 'If',
      domain: '',
      inputs: ['c'],
      outputs: ['z'],
      attributes: { then_branch: { kind: 'graph', value: graphOf([own]) } },
    };
    expect(() => exportOnnx(modelOf([condition]))).toThrow(/'blocked'/);
  });

  it('are written for a session, with their domain', () => {
    const text = new TextDecoder().decode(encodeOnnx(modelOf([own])));
    expect(text).toContain('com.microsoft.nchwc');
  });

  it('are no part of a file without them', () => {
    const plain = modelOf([{ ...own, op: 'Relu', domain: '' }]);
    const bytes = exportOnnx(plain);
    expect(new TextDecoder().decode(bytes)).not.toContain('com.microsoft');
    expect(importOnnx(bytes).graph.nodes).toHaveLength(1);
  });
});
