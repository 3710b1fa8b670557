import { tensor, type Tensor } from '@graft/core/tensor';

import { onnxRuntime } from '../runtime/onnxruntime.adapter.js';
import { withFloatWeights } from './float-weights.js';
import type { Model, Node } from './graph.js';

const node = (op: string, inputs: string[], output: string, attributes: Node['attributes'] = {}): Node => ({
  name: output,
  op,
  domain: '',
  inputs,
  outputs: [output],
  attributes,
});

const weights = new Map<string, Tensor>([
  ['q', tensor('int8', [2, 3], Int8Array.of(-128, -1, 0, 1, 64, 127))],
  ['u', tensor('uint8', [2, 3], Uint8Array.of(0, 1, 2, 128, 200, 255))],
  ['columns', tensor('float32', [3], Float32Array.of(0.5, 0.25, 2))],
  ['rows', tensor('float32', [2], Float32Array.of(0.5, 3))],
  ['zeros', tensor('uint8', [2], Uint8Array.of(128, 7))],
  ['scale', tensor('float32', [], Float32Array.of(0.125))],
]);

function modelOf(...nodes: Node[]): Model {
  const read = new Set(nodes.flatMap(({ inputs }) => inputs));
  return {
    graph: {
      name: 'stored',
      inputs: [{ name: 'x', dtype: 'float32', shape: [2, 3] }],
      outputs: [{ name: 'y', dtype: 'float32', shape: [2, 3] }],
      weights: [...weights]
        .filter(([name]) => read.has(name))
        .map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
      nodes,
    },
    weights: new Map([...weights].filter(([name]) => read.has(name))),
  };
}

const to = { to: { kind: 'int', value: 1 } } as const;

const cases: [string, Model][] = [
  [
    'Cast and Mul by columns',
    modelOf(node('Cast', ['q'], 'f', to), node('Mul', ['f', 'columns'], 'w'), node('Mul', ['x', 'w'], 'y')),
  ],
  [
    'Mul by one scale from the left',
    modelOf(node('Cast', ['u'], 'f', to), node('Mul', ['scale', 'f'], 'w'), node('Add', ['x', 'w'], 'y')),
  ],
  [
    'DequantizeLinear by rows',
    modelOf(
      node('DequantizeLinear', ['u', 'rows', 'zeros'], 'w', { axis: { kind: 'int', value: 0 } }),
      node('Mul', ['x', 'w'], 'y'),
    ),
  ],
];

describe('weights that are stored as 8-bit integers', () => {
  it.each(cases)('by %s become float32 weights of the same values', async (_, model) => {
    const widened = withFloatWeights(model);
    expect(widened.graph.nodes.map(({ outputs }) => outputs[0])).toEqual(['y']);
    expect([...widened.weights.values()].every(({ dtype }) => dtype === 'float32')).toBe(true);
    const x = tensor('float32', [2, 3], Float32Array.of(1, 2, 3, 4, 5, 6));
    const outputs = [];
    for (const each of [model, widened]) {
      const session = await onnxRuntime.load(each, { threads: 1, purpose: 'inference' });
      outputs.push((await session.run({ x })).y);
      await session.dispose();
    }
    expect(outputs[1]).toEqual(outputs[0]);
  });

  it('that depend on the input, or are no integers of the file, stay as they are', () => {
    const computed = modelOf(node('Mul', ['x', 'columns'], 'y'));
    expect(withFloatWeights(computed)).toEqual(computed);
    const pixels = modelOf(node('Cast', ['x'], 'f', to), node('Mul', ['f', 'columns'], 'y'));
    expect(withFloatWeights(pixels)).toEqual(pixels);
  });
});
