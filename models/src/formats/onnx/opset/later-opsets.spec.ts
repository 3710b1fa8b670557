/** Operators of opsets past the internal one, and of other domains: the file as it is against the file after import and export. */
import { describe, expect, it } from '@jest/globals';

import { random } from '@graft/core/random';
import { elementCount, tensor, type Tensor } from '@graft/core/tensor';

import { exportOnnx } from '../export-onnx.js';
import { importOnnx } from '../import-onnx.js';
import { constant, file, node, text } from '../onnx-files.contract.js';
import { dataTypeOf } from '../data-types.js';
import type { NodeProto } from '../onnx-schema.js';
import { runOnnx } from '../run-onnx.contract.js';

interface Case {
  readonly opset: number;
  readonly nodes: readonly NodeProto[];
  /** Shapes of the float32 inputs by name. */
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  readonly outputs?: readonly string[];
  readonly dtype?: Tensor['dtype'];
  /** Versions of other domains. */
  readonly domains?: Readonly<Record<string, number>>;
}

const ints = (...data: number[]): Tensor => tensor('int64', [data.length], BigInt64Array.from(data, BigInt));
const flat = { q: [2, 4, 24], k: [2, 6, 8], v: [2, 6, 8] };
const deep = { q: [2, 4, 3, 8], k: [2, 2, 5, 8], v: [2, 2, 5, 6] };
const heads = { q_num_heads: { i: 3 }, kv_num_heads: { i: 1 } };
const caches = [
  constant(
    'cosines',
    tensor(
      'float32',
      [6, 2],
      Float32Array.from({ length: 12 }, (_, i) => Math.cos(i)),
    ),
  ),
  constant(
    'sines',
    tensor(
      'float32',
      [6, 2],
      Float32Array.from({ length: 12 }, (_, i) => Math.sin(i)),
    ),
  ),
  constant('places', tensor('int64', [2, 3], BigInt64Array.of(0n, 1n, 2n, 3n, 4n, 5n))),
];
const rotated = (attributes: Parameters<typeof node>[3]): NodeProto[] => [
  ...caches,
  node('RotaryEmbedding', 'q cosines sines places', 'y', attributes),
];

const cases: Readonly<Record<string, Case>> = {
  'Attention with shared heads, causal': {
    opset: 23,
    inputs: flat,
    nodes: [node('Attention', 'q k v', 'y', { ...heads, is_causal: { i: 1 } })],
  },
  'Attention of rank 4 with a scale, a soft cap and its scores': {
    opset: 23,
    inputs: deep,
    nodes: [node('Attention', 'q k v', 'y - - s', { scale: { f: 0.3 }, softcap: { f: 2 } })],
    outputs: ['y', 's'],
  },
  'Attention with a query that sees no key': {
    opset: 24,
    inputs: deep,
    nodes: [
      constant(
        'mask',
        tensor(
          'bool',
          [3, 5],
          Uint8Array.from({ length: 15 }, (_, i) => (i < 5 ? 0 : 1)),
        ),
      ),
      node('Attention', 'q k v mask', 'y'),
    ],
  },
  'Attention with a mask of truth values': {
    opset: 23,
    inputs: deep,
    nodes: [
      constant(
        'mask',
        tensor(
          'bool',
          [3, 5],
          Uint8Array.from({ length: 15 }, (_, i) => (i % 3 === 0 ? 1 : 0)),
        ),
      ),
      node('Attention', 'q k v mask', 'y'),
    ],
  },
  'Attention with a past and its present': {
    opset: 24,
    inputs: { ...deep, mask: [3, 9], pk: [2, 2, 4, 8], pv: [2, 2, 4, 6] },
    nodes: [node('Attention', 'q k v mask pk pv', 'y present_k present_v')],
    outputs: ['y', 'present_k', 'present_v'],
  },
  'RMSNormalization over two axes': {
    opset: 23,
    inputs: { x: [2, 3, 4], scale: [3, 4] },
    nodes: [node('RMSNormalization', 'x scale', 'y', { axis: { i: 1 }, epsilon: { f: 0.01 } })],
  },
  'RotaryEmbedding by halves': { opset: 23, inputs: { q: [2, 2, 3, 4] }, nodes: rotated({}) },
  'RotaryEmbedding by pairs, of a part, of rank 3': {
    opset: 23,
    inputs: { q: [2, 3, 12] },
    nodes: rotated({ interleaved: { i: 1 }, rotary_embedding_dim: { i: 4 }, num_heads: { i: 2 } }),
  },
  Swish: { opset: 24, inputs: { x: [2, 3] }, nodes: [node('Swish', 'x', 'y', { alpha: { f: 1.5 } })] },
  'TensorScatter around the end': {
    opset: 24,
    inputs: { cache: [2, 4, 3], update: [2, 2, 3] },
    nodes: [constant('at', ints(1, 3)), node('TensorScatter', 'cache update at', 'y', { mode: text('circular') })],
  },
  'CumProd, which stays': {
    opset: 26,
    inputs: { x: [2, 4] },
    nodes: [
      constant('axis', tensor('int64', [], BigInt64Array.of(1n))),
      node('CumProd', 'x axis', 'y', { reverse: { i: 1 } }),
    ],
  },
  'BitCast, which stays': {
    opset: 26,
    inputs: { x: [2, 4] },
    nodes: [node('BitCast', 'x', 'y', { to: { i: dataTypeOf.int32 } })],
    dtype: 'int32',
  },
  'DFT of 17': {
    opset: 17,
    inputs: { x: [1, 6, 1] },
    nodes: [node('DFT', 'x', 'y', { axis: { i: 1 }, onesided: { i: 1 } })],
  },
  'GroupNormalization of 18, scaled by group': {
    opset: 18,
    inputs: { x: [2, 4, 3], scale: [2], bias: [2] },
    nodes: [node('GroupNormalization', 'x scale bias', 'y', { num_groups: { i: 2 } })],
  },
  'RoiAlign of 10': {
    opset: 10,
    inputs: { x: [1, 1, 5, 5] },
    nodes: [
      constant('boxes', tensor('float32', [1, 4], Float32Array.of(0, 0, 3, 4))),
      constant('image', ints(0)),
      node('RoiAlign', 'x boxes image', 'y', { output_height: { i: 2 }, output_width: { i: 2 } }),
    ],
  },
  'Upsample of 9 by a scale that is not whole': {
    opset: 9,
    inputs: { x: [1, 1, 3, 4] },
    nodes: [
      constant('scales', tensor('float32', [4], Float32Array.of(1, 1, 1.5, 2.25))),
      node('Upsample', 'x scales', 'y'),
    ],
  },
  'Pad of some axes by amounts that are computed': {
    opset: 21,
    inputs: { x: [2, 3, 4] },
    nodes: [
      constant('axes', ints(2)),
      node('Shape', 'x', 'amounts', { end: { i: 2 } }),
      node('Pad', 'x amounts - axes', 'y'),
    ],
  },
  'Scan of 8 over a batch': {
    opset: 8,
    inputs: { start: [2, 3], x: [2, 4, 3] },
    nodes: [
      node('Scan', '- start x', 'last y', {
        num_scan_inputs: { i: 1 },
        body: {
          g: {
            name: 'body',
            input: [undeclared('s'), undeclared('e')],
            node: [node('Add', 's e', 'n'), node('Relu', 'n', 'o')],
            output: [undeclared('n'), undeclared('o')],
          },
        },
      }),
    ],
    outputs: ['last', 'y'],
  },
  'a Binarizer and a Scaler of ai.onnx.ml': {
    opset: 21,
    domains: { 'ai.onnx.ml': 1 },
    inputs: { x: [2, 3] },
    nodes: [
      { ...node('Scaler', 'x', 'a', { offset: { floats: [0.1] }, scale: { floats: [2] } }), domain: 'ai.onnx.ml' },
      { ...node('Binarizer', 'a', 'y', { threshold: { f: 0.2 } }), domain: 'ai.onnx.ml' },
    ],
  },
};

function undeclared(name: string): { name: string; type: { tensorType: { elemType: number } } } {
  return { name, type: { tensorType: { elemType: dataTypeOf.float32 } } };
}

function fileOf({ opset, nodes, inputs, outputs = ['y'], dtype = 'float32', domains = {} }: Case): Uint8Array {
  const typed = (name: string, elemType: number, shape?: readonly number[]) => ({
    name,
    type: { tensorType: { elemType, ...(shape && { shape: { dim: shape.map((dimValue) => ({ dimValue })) } }) } },
  });
  const opsetImport = Object.entries({ '': opset, ...domains }).map(([domain, version]) => ({ domain, version }));
  return file(
    {
      node: nodes,
      input: Object.entries(inputs).map(([name, shape]) => typed(name, dataTypeOf.float32, shape)),
      output: outputs.map((name) => typed(name, dataTypeOf[dtype])),
    },
    opset,
    { irVersion: opset > 21 ? 13 : 8, opsetImport },
  );
}

function feedsOf({ inputs }: Case): Record<string, Tensor> {
  const source = random(5);
  const draw = (shape: readonly number[]): Tensor =>
    tensor(
      'float32',
      shape,
      Float32Array.from({ length: elementCount(shape) }, () => source.normal()),
    );
  return Object.fromEntries(Object.entries(inputs).map(([name, shape]) => [name, draw(shape)]));
}

function differenceOf(a: Tensor | undefined, b: Tensor | undefined): number {
  if (a === undefined || b === undefined || a.dtype !== b.dtype || a.shape.join() !== b.shape.join()) return Infinity;
  const other = b.data;
  return Math.max(...Array.from(a.data as Iterable<number>, (each, i) => Math.abs(each - Number(other[i]))));
}

describe('an operator past the internal opset, or before it', () => {
  it('gives the same results after import and export', async () => {
    const named = Object.entries(cases);
    const original = named.map(([, one]) => ({ file: fileOf(one), feeds: feedsOf(one) }));
    const models = original.map((each) => importOnnx(each.file));
    const again = models.map((model, i) => ({ file: exportOnnx(model), feeds: original[i]?.feeds ?? {} }));
    const results = await runOnnx([...original, ...again]);
    for (const [i, [name, { outputs = ['y'] }]] of named.entries()) {
      const [before, after] = [results[i], results[named.length + i]];
      expect([name, [...(after?.keys() ?? [])]]).toEqual([name, outputs]);
      for (const output of outputs) {
        const difference = differenceOf(before?.get(output), after?.get(output));
        expect([name, output, difference < 1e-5 ? 'same' : difference]).toEqual([name, output, 'same']);
      }
    }
  }, 120_000);

  it('is written with operators of the internal opset alone, but for two', () => {
    const opsOf = (name: string): string[] =>
      importOnnx(fileOf(cases[name] ?? missing())).graph.nodes.map(({ op }) => op);
    expect(opsOf('Attention with shared heads, causal')).toEqual(
      expect.arrayContaining(['Gather', 'MatMul', 'Softmax']),
    );
    expect(opsOf('Attention with shared heads, causal')).not.toContain('Attention');
    expect(opsOf('CumProd, which stays')).toEqual(['CumProd']);
  });

  it('has the amounts of a Pad for all axes, which a runtime that moves transposes keeps right', async () => {
    const bytes = fileOf({
      opset: 21,
      inputs: { x: [1, 4, 5, 3] },
      nodes: [
        constant('amounts', ints(1, 2, 0, 1)),
        constant('axes', ints(-1, 1)),
        node('Transpose', 'x', 'a', { perm: { ints: [0, 3, 1, 2] } }),
        node('Pad', 'a amounts - axes', 'b'),
        node('Transpose', 'b', 'y', { perm: { ints: [0, 2, 3, 1] } }),
      ],
    });
    const x = tensor(
      'float32',
      [1, 4, 5, 3],
      Float32Array.from({ length: 60 }, (_, i) => i + 1),
    );
    const [result] = await runOnnx([{ file: exportOnnx(importOnnx(bytes)), feeds: { x } }]);
    expect(result?.get('y')?.shape).toEqual([1, 4, 6, 6]);
    const expected = Array.from({ length: 144 }, (_, i) => {
      const [row, column, channel] = [Math.floor(i / 36), (Math.floor(i / 6) % 6) - 1, (i % 6) - 2];
      return column < 0 || channel < 0 || channel > 2 ? 0 : row * 15 + column * 3 + channel + 1;
    });
    expect([...(result?.get('y')?.data ?? [])]).toEqual(expected);
  }, 60_000);

  const missing = (): never => {
    throw new Error('no such case');
  };
});
