/** Opsets 1 to 6, which no runtime loads any more: the numbers are those of the operators' texts, worked out by hand. */
import { describe, expect, it } from '@jest/globals';

import { tensor, type Tensor } from '@graft/core/tensor';

import { exportOnnx } from '../export-onnx.js';
import { importOnnx } from '../import-onnx.js';
import { constant, file, node, text, value } from '../onnx-files.contract.js';
import type { NodeProto } from '../onnx-schema.js';
import { runOnnx } from '../run-onnx.contract.js';

interface Case {
  readonly opset: number;
  readonly nodes: readonly NodeProto[];
  readonly x: Tensor<'float32'>;
  readonly expected: readonly number[];
  readonly outputs?: string;
}

const vector = (...data: number[]): Tensor<'float32'> => tensor('float32', [data.length], Float32Array.from(data));
const image = tensor('float32', [1, 2, 2, 1], Float32Array.of(1, 2, -3, 4));
const matrix = tensor('float32', [2, 3], Float32Array.of(1, 2, 3, 4, 5, 6));
const ints = (...values: number[]): { ints: number[] } => ({ ints: values });

const cases: Readonly<Record<string, Case>> = {
  'Add along an axis': {
    opset: 6,
    x: image,
    nodes: [constant('b', vector(10, 20)), node('Add', 'x b', 'y', { broadcast: { i: 1 }, axis: { i: 1 } })],
    expected: [11, 12, 17, 24],
  },
  'Mul along the last axes': {
    opset: 6,
    x: matrix,
    nodes: [constant('b', vector(1, 0, 2)), node('Mul', 'x b', 'y', { broadcast: { i: 1 } })],
    expected: [1, 0, 6, 4, 0, 12],
  },
  'Sub of equal shapes, which could reuse its input': {
    opset: 1,
    x: matrix,
    nodes: [node('Sub', 'x x', 'y', { consumed_inputs: ints(1, 0) })],
    expected: [0, 0, 0, 0, 0, 0],
  },
  'PRelu with a slope for each channel': {
    opset: 6,
    x: tensor('float32', [1, 2, 2, 1], Float32Array.of(-1, 2, -3, 4)),
    nodes: [constant('s', vector(0.5, 10)), node('PRelu', 'x s', 'y')],
    expected: [-0.5, 2, -30, 4],
  },
  'BatchNormalization for inference': {
    opset: 6,
    x: image,
    nodes: [
      constant('s', vector(2, 1)),
      constant('b', vector(0, 1)),
      constant('m', vector(1, 0)),
      constant('v', vector(1, 4)),
      node('BatchNormalization', 'x s b m v', 'y', { is_test: { i: 1 }, epsilon: { f: 0 } }),
    ],
    expected: [0, 2, -0.5, 3],
  },
  'Reshape, Cast and Concat': {
    opset: 1,
    x: matrix,
    nodes: [
      node('Reshape', 'x', 'a', { shape: ints(3, 2) }),
      node('Cast', 'a', 'b', { to: text('DOUBLE') }),
      node('Cast', 'b', 'c', { to: text('FLOAT') }),
      node('Concat', 'c c', 'y'),
    ],
    expected: [1, 2, 1, 2, 3, 4, 3, 4, 5, 6, 5, 6],
  },
  'Pad, Split and Tile': {
    opset: 1,
    x: vector(1, 2),
    nodes: [
      node('Pad', 'x', 'a', { paddings: ints(1, 1) }),
      constant('parts', tensor('int64', [2], BigInt64Array.of(3n, 1n))),
      node('Split', 'a parts', 'b c', { axis: { i: 0 } }),
      constant('times', tensor('float32', [], Float32Array.of(2))),
      constant('axis', tensor('float32', [], new Float32Array(1))),
      node('Tile', 'b times axis', 'y'),
    ],
    expected: [0, 1, 2, 0, 1, 2],
  },
  'Upsample by height and width': {
    opset: 1,
    x: image,
    nodes: [node('Upsample', 'x', 'y', { height_scale: { f: 1 }, width_scale: { f: 2 }, mode: text('nearest') })],
    expected: [1, 1, 2, 2, -3, -3, 4, 4],
  },
  'Selu with its short constants': {
    opset: 1,
    x: vector(1, 2),
    nodes: [node('Selu', 'x', 'y')],
    expected: [Math.fround(1.0507), Math.fround(2 * Math.fround(1.0507))],
  },
};

function fileOf({ opset, nodes, x }: Case): Uint8Array {
  const output = [{ name: 'y', type: { tensorType: { elemType: 1 } } }];
  return file({ node: nodes, input: [value('x', x.shape)], output }, opset);
}

describe('an opset before 7', () => {
  it('gives the numbers of its time', async () => {
    const named = Object.entries(cases);
    const results = await runOnnx(
      named.map(([, one]) => ({ file: exportOnnx(importOnnx(fileOf(one))), feeds: { x: one.x } })),
    );
    for (const [i, [name, { expected }]] of named.entries()) {
      expect([name, [...(results[i]?.get('y')?.data ?? [])]]).toEqual([name, expected]);
    }
  }, 60_000);

  it.each([
    ['BatchNormalization for training', node('BatchNormalization', 'x x x x x', 'y'), /training form/],
    ['Dropout for training', node('Dropout', 'x', 'y'), /training form/],
    ['a type that nobody knows', node('Cast', 'x', 'y', { to: text('HALF_A_FLOAT') }), /casts to 'HALF_A_FLOAT'/],
    ['a power that is not whole', node('LpPool', 'x', 'y', { p: { f: 1.5 } }), /p is 1.5/],
  ])('refuses %s', (_, one, message) => {
    expect(() => importOnnx(fileOf({ opset: 1, nodes: [one], x: image, expected: [] }))).toThrow(message);
  });
});
