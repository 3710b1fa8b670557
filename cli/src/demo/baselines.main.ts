/**
 * The comparisons of the demo, in a process of its own because native code blocks: each bank alone, pooled data,
 * and on request a backbone of random weights. The same import, cut, head, features and training code as the federation's.
 * Reads a JSON description from the file in argv[2], prints one JSON line.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { random, seedFrom } from '@graft/core/random';
import { tensor, type Tensor, type Weights } from '@graft/core/tensor';
import { accuracyOf, measureLogits } from '@graft/models/evaluate/measures';
import { importOnnx } from '@graft/models/formats/onnx/import-onnx';
import { decodeSafetensors } from '@graft/models/formats/safetensors';
import { cutAt } from '@graft/models/graph/cut';
import { withExampleShape } from '@graft/models/graph/example-shape';
import type { Model } from '@graft/models/graph/graph';
import { withHead } from '@graft/models/graph/head';
import { computeFeatures, stack } from '@graft/models/pipeline/features';
import { decodeImage } from '@graft/models/pipeline/image.adapter';
import { exampleShape, type ImagePreprocessing } from '@graft/models/pipeline/preprocessing';
import { learningOf, stepOptionsOf } from '@graft/models/pipeline/training-spec';
import { onnxRuntime } from '@graft/models/runtime/onnxruntime.adapter';
import { predictLogits } from '@graft/models/training/predict-logits';
import { train } from '@graft/models/training/training-session';

import { features as cut, labels, modelCard, taskName, training } from './scenario.js';

export interface BaselinesRequest {
  /** The base model, an ONNX file. */
  readonly model: string;
  /** Image folders of the banks. */
  readonly banks: readonly string[];
  /** safetensors: images [N, H, W] uint8, labels [N] int32. */
  readonly holdOut: string;
  /** Epochs are those of so many rounds. */
  readonly rounds: number;
  readonly seed: number;
  readonly control: boolean;
}

export interface Baselines {
  readonly alone: readonly number[];
  readonly pooled: number;
  readonly control?: number;
}

interface DataSet {
  readonly features: Tensor<'float32'>;
  readonly labels: Int32Array;
}

const preprocessing = modelCard.preprocessing as ImagePreprocessing;
const batchSize = 32;

/** Rows of `examples` through the trunk. */
async function featuresOf(trunk: Model, examples: readonly Tensor<'float32'>[]): Promise<Tensor<'float32'>> {
  const session = await onnxRuntime.load(trunk, { threads: 2, purpose: 'inference' });
  const names = { input: trunk.graph.inputs[0]?.name ?? '', output: cut };
  const shape = (trunk.graph.outputs[0]?.shape ?? []).slice(1).map(Number);
  const rows: Tensor<'float32'>[] = [];
  for await (const row of computeFeatures({ session, names, shape }, { examples, batchSize })) rows.push(row);
  await session.dispose();
  return stack(rows);
}

async function readFolder(folder: string): Promise<{ images: Tensor<'float32'>[]; labels: Int32Array }> {
  const files: { file: string; label: number }[] = [];
  for (const label of (await readdir(folder)).sort()) {
    for (const name of (await readdir(join(folder, label))).sort())
      files.push({ file: join(folder, label, name), label: labels.indexOf(label) });
  }
  const images = await Promise.all(files.map(({ file }) => decodeImage({ file }, preprocessing)));
  return { images, labels: Int32Array.from(files, ({ label }) => label) };
}

async function readHoldOut(file: string): Promise<{ images: Tensor<'float32'>[]; labels: Int32Array }> {
  const { weights } = decodeSafetensors(new Uint8Array(await readFile(file)));
  const [images, own] = [weights.get('images'), weights.get('labels')];
  if (images?.dtype !== 'uint8' || own?.dtype !== 'int32') throw new TypeError(`${file} is no data set`);
  const [count = 0, height = 0, width = 0] = images.shape;
  const pixels = height * width;
  const decoded = Array.from({ length: count }, (_, index) =>
    decodeImage(
      { name: `hold-out ${index}`, grey: images.data.subarray(index * pixels, (index + 1) * pixels), width, height },
      preprocessing,
    ),
  );
  return { images: await Promise.all(decoded), labels: own.data };
}

function pool(sets: readonly DataSet[]): DataSet {
  const rows = sets.reduce((sum, { labels: own }) => sum + own.length, 0);
  const [, ...shape] = sets[0]?.features.shape ?? [0];
  const length = shape.reduce((product, size) => product * size, 1);
  const data = new Float32Array(rows * length);
  const all = new Int32Array(rows);
  let at = 0;
  for (const { features, labels: own } of sets) {
    data.set(features.data, at * length);
    all.set(own, at);
    at += own.length;
  }
  return { features: tensor('float32', [rows, ...shape], data), labels: all };
}

/** Weights of the same spread, drawn at random: what the architecture alone is worth. */
function randomized(weights: Weights, seed: number): Map<string, Tensor> {
  const { normal } = random(seed);
  return new Map(
    [...weights].map(([name, value]): [string, Tensor] => {
      if (value.dtype !== 'float32' || value.data.length < 64) return [name, value];
      const mean = value.data.reduce((sum, x) => sum + x, 0) / value.data.length;
      const spread = Math.sqrt(value.data.reduce((sum, x) => sum + (x - mean) ** 2, 0) / value.data.length);
      return [
        name,
        tensor(
          'float32',
          value.shape,
          Float32Array.from(value.data, () => mean + spread * normal()),
        ),
      ];
    }),
  );
}

async function main(request: BaselinesRequest): Promise<Baselines> {
  const base = withExampleShape(importOnnx(new Uint8Array(await readFile(request.model))), exampleShape(preprocessing));
  const headed = withHead(base, { features: cut, classes: labels.length, seed: seedFrom('task', taskName) });
  const { trunk, tail } = cutAt(headed, cut);
  const spec = { ...training, epochs: training.epochs * request.rounds };
  const accuracy = async (data: DataSet, test: DataSet): Promise<number> => {
    const { weights } = await train(
      {
        model: tail,
        step: { ...stepOptionsOf(spec), trainable: ['head.weight', 'head.bias'] },
        examples: {
          inputs: { [cut]: data.features },
          targets: { labels: tensor('int32', [data.labels.length], data.labels) },
        },
        ...learningOf(spec),
        seed: request.seed,
      },
      onnxRuntime,
    );
    const trained = { graph: tail.graph, weights: new Map([...tail.weights, ...weights]) };
    const session = await onnxRuntime.load(trained, { threads: 1, purpose: 'inference' });
    const logits = await predictLogits(session, { input: cut }, { features: test.features, batchSize: 256 });
    await session.dispose();
    return accuracyOf(measureLogits(logits, test.labels));
  };
  const banks = await Promise.all(request.banks.map(readFolder));
  const holdOut = await readHoldOut(request.holdOut);
  const through = async (body: Model): Promise<{ sites: DataSet[]; test: DataSet }> => {
    const sites: DataSet[] = [];
    for (const { images, labels: own } of banks) sites.push({ features: await featuresOf(body, images), labels: own });
    return { sites, test: { features: await featuresOf(body, holdOut.images), labels: holdOut.labels } };
  };
  const { sites, test } = await through(trunk);
  const alone: number[] = [];
  for (const site of sites) alone.push(await accuracy(site, test));
  const pooled = await accuracy(pool(sites), test);
  if (!request.control) return { alone, pooled };
  const chance = await through({ graph: trunk.graph, weights: randomized(trunk.weights, request.seed) });
  return { alone, pooled, control: await accuracy(pool(chance.sites), chance.test) };
}

const request = JSON.parse(await readFile(process.argv[2] ?? '', 'utf8')) as BaselinesRequest;
process.stdout.write(`${JSON.stringify(await main(request))}\n`);
