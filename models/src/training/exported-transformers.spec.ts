/**
 * Transformers as PyTorch exports them, whose sizes are symbols: their shapes are followed and their gradients are PyTorch's,
 * of every size by one graph. Vectors: test/vectors/make_exported_transformers.py
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from '@jest/globals';

import { tensor, type Tensor } from '@graft/core/tensor';

import { importOnnx } from '../formats/onnx/import-onnx.js';
import type { Dimension, Model } from '../graph/graph.js';
import { GraphBuilder } from '../operators/graph-builder.js';
import { inferShapes, scopeOf } from '../operators/infer-shapes.js';
import { onnxRuntime } from '../runtime/onnxruntime.adapter.js';
import type { Session } from '../runtime/runtime.js';
import { differentiate } from './differentiate.js';
import { relativeError } from './gradient-graph.contract.js';

interface Given {
  readonly dtype: 'int64' | 'float32';
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

interface Vector {
  readonly inputs: Readonly<Record<string, Given>>;
  readonly output: Given;
  readonly gradients: Readonly<Record<string, readonly number[]>>;
}

const folder = join('test', 'vectors');
const vectors = JSON.parse(readFileSync(join(folder, 'exported-transformers.json'), 'utf8')) as Record<
  string,
  readonly Vector[]
>;

const read = (name: string): Model =>
  importOnnx(new Uint8Array(readFileSync(join(folder, 'exported-transformers', `${name}.onnx`))));

const asTensor = ({ dtype, shape, data }: Given): Tensor =>
  dtype === 'int64'
    ? tensor(dtype, shape, BigInt64Array.from(data, BigInt))
    : tensor(dtype, shape, Float32Array.from(data));

const shapes: Readonly<Record<string, Readonly<Record<string, readonly Dimension[]>>>> = {
  encoder: { output: ['batch_size', 3] },
  'mean-pooled': { output: ['batch_size', 8] },
  decoder: {
    output: ['batch_size', 'sequence_length', 11],
    key: ['batch_size', 2, 'past_sequence_length+sequence_length', 4],
  },
  // The program works out how many positions a table of 16 has from here on.
  'decoder-program': {
    output: ['batch_size', 'max(-1*min(16,past_sequence_length)+min(16,past_sequence_length+sequence_length),0)', 11],
    key: ['batch_size', 2, 'past_sequence_length+sequence_length', 4],
  },
  layer: { output: ['batch_size', 3, 8] },
  vision: { output: ['batch_size', 8] },
};

/** One session of the output and of the gradients by all of `wanted` of its sum times 'onto'. */
async function sessionOf(model: Model, wanted: readonly string[]): Promise<Session> {
  const scope = scopeOf(model);
  const build = new GraphBuilder(scope, 'train/');
  build.declare('onto', scope.of('output'));
  const seeds = new Map([['output', 'onto']]);
  const found = differentiate({ nodes: model.graph.nodes, scope, seeds, wanted }, build);
  expect([...found.keys()]).toEqual(wanted);
  for (const [name, gradient] of found) {
    expect([name, build.shapeOf(gradient)]).toEqual([name, scope.shapeOf(name)]);
    build.addNamed('Identity', [gradient], { outputs: [`gradient/${name}`] });
  }
  const weights = new Map([...model.weights, ...build.constants]);
  const outputs = ['output', ...wanted.map((name) => `gradient/${name}`)];
  const graph = {
    name: 'gradients',
    inputs: [...model.graph.inputs, { name: 'onto', dtype: 'float32' as const }],
    outputs: outputs.map((name) => ({ name, dtype: 'float32' as const })),
    weights: [...weights].map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
    nodes: [...model.graph.nodes, ...build.nodes],
  };
  return onnxRuntime.load({ graph, weights }, { threads: 1, purpose: 'training' });
}

/** The output of this one reads a second copy of the words, turned around. */
const copied = new Map([['decoder-program', 'words.weight']]);

/** By the exporter that traces, and by the one that exports programs. */
const files = Object.keys(vectors).flatMap((name) => [
  [name, name],
  [`${name}-program`, name],
]);

describe.each(files)('the exported %s', (file, name) => {
  const model = read(file);

  it('has shapes of the symbols of its inputs', () => {
    const types = inferShapes(model);
    for (const [output, shape] of Object.entries(shapes[file] ?? shapes[name] ?? {})) {
      expect([output, types.get(output)?.shape]).toEqual([output, shape]);
    }
  });

  it('has the gradients that PyTorch finds, at every size by one graph', async () => {
    const all = Object.keys(vectors[name]?.[0]?.gradients ?? {});
    const wanted = all.filter((each) => model.weights.has(each) && copied.get(file) !== each);
    expect(wanted.length).toBeGreaterThanOrEqual(3);
    const session = await sessionOf(model, wanted);
    for (const { inputs, output, gradients } of vectors[name] ?? []) {
      const onto = { ...output, data: output.data.map((_, i) => Math.sin(i)) };
      const feeds = Object.entries({ ...inputs, onto }).map(([key, value]) => [key, asTensor(value)]);
      const found = await session.run(Object.fromEntries(feeds) as Record<string, Tensor>);
      const values = (of: string): number[] => Array.from(found[of]?.data as Iterable<number>, Number);
      expect(relativeError(values('output'), output.data)).toBeLessThanOrEqual(1e-5);
      // The bias of keys has no influence on a softmax: against nothing, its gradient is measured by those of the others.
      const least = 1e-2 * Math.max(...wanted.map((each) => Math.hypot(...(gradients[each] ?? []))));
      const errors = wanted.map((each) => {
        const expected = gradients[each] ?? [];
        const difference = values(`gradient/${each}`).map((value, i) => value - (expected[i] ?? NaN));
        return [each, Math.hypot(...difference) / Math.max(least, Math.hypot(...expected))] as const;
      });
      expect(errors.filter(([, each]) => !(each <= 1e-5))).toEqual([]);
    }
    await session.dispose();
  });
});
