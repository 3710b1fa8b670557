import { describe, expect, it } from '@jest/globals';

import { random } from '@graft/core/random';
import { bytesOf, elementCount, tensor, type Tensor } from '@graft/core/tensor';

import { exportOnnx } from '../export-onnx.js';
import { importOnnx } from '../import-onnx.js';
import { constant, file, node, text, value } from '../onnx-files.contract.js';
import { dataTypeOf } from '../data-types.js';
import type { NodeProto } from '../onnx-schema.js';
import { runOnnx } from '../run-onnx.contract.js';
import { domains } from './domains.js';

interface Case {
  readonly opset: number;
  /** From 'x' to 'y'. */
  readonly nodes: readonly NodeProto[];
  readonly shape: readonly number[];
  readonly dtype?: 'float32' | 'float64' | 'float16' | 'int32';
  readonly outputs?: readonly string[];
}

const ints = (...values: number[]): { ints: number[] } => ({ ints: values });
const floats = (...values: number[]): { floats: number[] } => ({ floats: values });
const indices = (...values: number[]): Tensor => tensor('int64', [values.length], BigInt64Array.from(values, BigInt));

const cases: Readonly<Record<string, Case>> = {
  'Clip of 6 with both limits': {
    opset: 6 + 1,
    shape: [2, 3],
    nodes: [node('Clip', 'x', 'y', { min: { f: -0.5 }, max: { f: 0.25 } })],
  },
  'Clip of 9 with a maximum alone': { opset: 9, shape: [2, 3], nodes: [node('Clip', 'x', 'y', { max: { f: 0.25 } })] },
  'Clip of 9 without limits': { opset: 9, shape: [2, 3], nodes: [node('Clip', 'x', 'y')] },
  'Slice of 9 with negative starts and ends past the end': {
    opset: 9,
    shape: [3, 5],
    nodes: [node('Slice', 'x', 'y', { starts: ints(-2, 1), ends: ints(1000, -1), axes: ints(0, 1) })],
  },
  'Slice of 9 without axes': {
    opset: 9,
    shape: [3, 5],
    nodes: [node('Slice', 'x', 'y', { starts: ints(1), ends: ints(3) })],
  },
  'Squeeze of 9': { opset: 9, shape: [1, 3, 1], nodes: [node('Squeeze', 'x', 'y', { axes: ints(0, 2) })] },
  'Squeeze of 9 without axes': { opset: 9, shape: [1, 3, 1], nodes: [node('Squeeze', 'x', 'y')] },
  'Unsqueeze of 9': { opset: 9, shape: [2, 3], nodes: [node('Unsqueeze', 'x', 'y', { axes: ints(0, 3) })] },
  'ReduceSum of 11 with a negative axis': {
    opset: 11,
    shape: [2, 3, 4],
    nodes: [node('ReduceSum', 'x', 'y', { axes: ints(-1), keepdims: { i: 0 } })],
  },
  'ReduceMean of 9': { opset: 9, shape: [2, 3, 4], nodes: [node('ReduceMean', 'x', 'y', { axes: ints(0, 2) })] },
  'ReduceMax of 13 over everything': { opset: 13, shape: [2, 3], nodes: [node('ReduceMax', 'x', 'y')] },
  'ReduceL2 of 17': { opset: 17, shape: [2, 3], nodes: [node('ReduceL2', 'x', 'y', { axes: ints(1) })] },
  'Softmax of 9 at its default axis': { opset: 9, shape: [2, 3, 4], nodes: [node('Softmax', 'x', 'y')] },
  'Softmax of 9 over the last axis': {
    opset: 9,
    shape: [2, 3, 4],
    nodes: [node('Softmax', 'x', 'y', { axis: { i: 2 } })],
  },
  'Softmax of 9 over everything': {
    opset: 9,
    shape: [2, 3, 4],
    nodes: [node('Softmax', 'x', 'y', { axis: { i: 0 } })],
  },
  'Softmax of 9 whose rank no rule tells': {
    opset: 9,
    shape: [2, 12],
    nodes: [
      node('Shape', 'x', 's'),
      constant('more', indices(1)),
      node('Concat', 's more', 'shape', { axis: { i: 0 } }),
      node('Reshape', 'x shape', 'a'),
      node('Softmax', 'a', 'y', { axis: { i: 1 } }),
    ],
  },
  'LogSoftmax of 11 over a middle axis from the end': {
    opset: 11,
    shape: [2, 3, 4],
    nodes: [node('LogSoftmax', 'x', 'y', { axis: { i: -2 } })],
  },
  'Hardmax of 11': { opset: 11, shape: [2, 3, 4], nodes: [node('Hardmax', 'x', 'y', { axis: { i: 1 } })] },
  'Pad of 9 with a value': {
    opset: 9,
    shape: [2, 3],
    nodes: [node('Pad', 'x', 'y', { pads: ints(0, 1, 2, 0), value: { f: 7 } })],
  },
  'Pad of 10 that reflects': {
    opset: 10,
    shape: [2, 4],
    nodes: [node('Pad', 'x', 'y', { mode: text('reflect'), pads: ints(1, 2, 0, 1) })],
  },
  'Split of 9 in named parts': {
    opset: 9,
    shape: [5, 2],
    nodes: [node('Split', 'x', 'y z', { split: ints(2, 3), axis: { i: 0 } })],
    outputs: ['y', 'z'],
  },
  'Split of 13 in equal parts': { opset: 13, shape: [4, 2], nodes: [node('Split', 'x', 'y z')], outputs: ['y', 'z'] },
  'TopK of 9': { opset: 9, shape: [2, 5], nodes: [node('TopK', 'x', 'y i', { k: { i: 2 } })] },
  'Dropout of 9 in inference': { opset: 9, shape: [2, 3], nodes: [node('Dropout', 'x', 'y', { ratio: { f: 0.4 } })] },
  'Dropout of 7 whose mask nobody reads': { opset: 7, shape: [2, 3], nodes: [node('Dropout', 'x', 'y mask')] },
  'BatchNormalization of 8': {
    opset: 8,
    shape: [2, 2, 3],
    nodes: [
      constant('scale', tensor('float32', [2], Float32Array.of(1.5, -2))),
      constant('bias', tensor('float32', [2], Float32Array.of(0.1, 0.2))),
      constant('mean', tensor('float32', [2], Float32Array.of(0.3, -0.4))),
      constant('variance', tensor('float32', [2], Float32Array.of(2, 0.5))),
      node('BatchNormalization', 'x scale bias mean variance', 'y', { epsilon: { f: 1e-3 }, spatial: { i: 1 } }),
    ],
  },
  'Upsample of 8, nearest': {
    opset: 8,
    shape: [1, 2, 2, 3],
    nodes: [node('Upsample', 'x', 'y', { mode: text('nearest'), scales: floats(1, 1, 2, 3) })],
  },
  'Upsample of 9, linear': {
    opset: 9,
    shape: [1, 1, 3, 3],
    nodes: [
      constant('scales', tensor('float32', [4], Float32Array.of(1, 1, 2, 1.5))),
      node('Upsample', 'x scales', 'y', { mode: text('linear') }),
    ],
  },
  'Resize of 10, nearest': {
    opset: 10,
    shape: [1, 1, 3, 2],
    nodes: [constant('scales', tensor('float32', [4], Float32Array.of(1, 1, 3, 2))), node('Resize', 'x scales', 'y')],
  },
  'Scatter of 9': {
    opset: 9,
    shape: [3, 2],
    nodes: [
      constant('at', tensor('int64', [1, 2], BigInt64Array.of(2n, 0n))),
      constant('with', tensor('float32', [1, 2], Float32Array.of(8, 9))),
      node('Scatter', 'x at with', 'y'),
    ],
  },
  'GridSample of 16': {
    opset: 16,
    shape: [1, 1, 3, 3],
    nodes: [
      constant('grid', tensor('float32', [1, 1, 2, 2], Float32Array.of(-0.3, 0.2, 0.9, -0.5))),
      node('GridSample', 'x grid', 'y', { mode: text('bilinear') }),
    ],
  },
  'AveragePool, GlobalAveragePool, HardSigmoid and Relu of 9': {
    opset: 9,
    shape: [1, 2, 4, 4],
    nodes: [
      node('AveragePool', 'x', 'a', { kernel_shape: ints(3, 2), strides: ints(1, 2), pads: ints(1, 0, 1, 0) }),
      node('HardSigmoid', 'a', 'b', { alpha: { f: 0.3 } }),
      node('Relu', 'b', 'c'),
      node('GlobalAveragePool', 'c', 'y'),
    ],
  },
  'Pow, Sqrt, Sub, Div, Sigmoid and Transpose of 9': {
    opset: 9,
    shape: [2, 3],
    nodes: [
      constant('two', tensor('float32', [], Float32Array.of(2))),
      node('Pow', 'x two', 'a'),
      node('Sqrt', 'a', 'b'),
      node('Sub', 'b x', 'c'),
      node('Sigmoid', 'c', 'd'),
      node('Div', 'd two', 'e'),
      node('Transpose', 'e', 'y', { perm: ints(1, 0) }),
    ],
  },
  'If of 9 around a Softmax and a Squeeze': {
    opset: 9,
    shape: [2, 3, 1],
    nodes: [
      constant('flag', tensor('bool', [], Uint8Array.of(1))),
      node('If', 'flag', 'y', {
        then_branch: {
          g: {
            name: 'then',
            node: [node('Softmax', 'x', 'a'), node('Squeeze', 'a', 'r', { axes: ints(2) })],
            output: [value('r', ['a', 'b'])],
          },
        },
        else_branch: {
          g: { name: 'else', node: [node('Squeeze', 'x', 'q', { axes: ints(2) })], output: [value('q', ['a', 'b'])] },
        },
      }),
    ],
  },
};

function fileOf({ opset, nodes, shape, dtype = 'float32', outputs = ['y'] }: Case): Uint8Array {
  const output = outputs.map((name) => ({ name, type: { tensorType: { elemType: dataTypeOf[dtype] } } }));
  return file({ node: nodes, input: [value('x', shape, dtype)], output }, opset);
}

function input({ shape }: Case): Tensor {
  const source = random(7);
  return tensor(
    'float32',
    shape,
    Float32Array.from({ length: elementCount(shape) }, () => source.normal()),
  );
}

const bits = (outputs: ReadonlyMap<string, Tensor> | undefined): unknown =>
  [...(outputs ?? [])].map(([name, result]) => [name, result.dtype, result.shape, [...bytesOf(result)]]);

describe('opset conversion', () => {
  it('keeps every result to the last bit in ONNX Runtime', async () => {
    const named = Object.entries(cases);
    const original = named.map(([, one]) => ({ file: fileOf(one), feeds: { x: input(one) } }));
    const converted = original.map(({ file: bytes, feeds }) => ({ file: exportOnnx(importOnnx(bytes)), feeds }));
    const results = await runOnnx([...original, ...converted]);
    for (const [i, [name]] of named.entries()) {
      expect([name, bits(results[named.length + i])]).toEqual([name, bits(results[i])]);
    }
  }, 60_000);

  it('gives limits the element type of the data, followed back through the nodes before', () => {
    const clip = node('Clip', 'a', 'y', { max: { f: 0.25 } });
    const limit = (dtype: 'float16' | 'float64' | 'int32', nodes: readonly NodeProto[]): unknown =>
      importOnnx(fileOf({ opset: 9, dtype, shape: [2], nodes })).weights.get('Clip_y.max');
    expect(limit('float64', [node('Neg', 'x', 'a'), clip])).toEqual(tensor('float64', [], Float64Array.of(0.25)));
    expect(limit('float16', [node('Neg', 'x', 'a'), clip])).toEqual(tensor('float16', [], Uint16Array.of(0x3400)));
    const cast = node('Cast', 'x', 'a', { to: { i: 11 } });
    expect(limit('float16', [cast, clip])).toEqual(tensor('float64', [], Float64Array.of(0.25)));
    expect(() => limit('int32', [node('Neg', 'x', 'a'), clip])).toThrow(/element type of 'a' is int32/);
  });

  it.each([
    [
      'a mask of Dropout',
      9,
      node('Dropout', 'x', 'z y'),
      /its mask is read, and the type of the mask changed in opset 10/,
    ],
    ['BatchNormalization in training form', 9, node('BatchNormalization', 'x x x x x', 'y m v'), /training form/],
    [
      'BatchNormalization without spatial',
      8,
      node('BatchNormalization', 'x x x x x', 'y', { spatial: { i: 0 } }),
      /spatial=0/,
    ],
    ['Scan of 8 with lengths', 8, node('Scan', 'x x', 'y'), /lengths of their own/],
    ['nearest with computed scales', 10, node('Resize', 'x x', 'y'), /computed or not whole/],
    [
      'Tensorflow pixels',
      11,
      node('Resize', 'x - x', 'y', { coordinate_transformation_mode: text('tf_half_pixel_for_nn') }),
      /removed in opset 13/,
    ],
    [
      'Slice with starts and ends that differ',
      9,
      node('Slice', 'x', 'y', { starts: ints(1), ends: ints(1, 2) }),
      /of one length/,
    ],
  ])('refuses what has no equal: %s', (_, opset, one, message) => {
    const bytes = fileOf({ opset, nodes: [one], shape: [2, 2] });
    expect(() => importOnnx(bytes)).toThrow(
      expect.objectContaining({ code: 'MODEL_UNSUPPORTED', message: expect.stringMatching(message) }),
    );
  });

  it('has a table whose versions ascend and whose converters enter a listed version', () => {
    for (const [op, { versions, into }] of domains.get('')?.operators ?? []) {
      expect([op, [...versions].sort((a, b) => a - b)]).toEqual([op, versions]);
      for (const version of Object.keys(into ?? {}))
        expect([op, versions]).toEqual([op, expect.arrayContaining([Number(version)])]);
    }
  });
});
