/** A site without a coordinator: rows on disk, a pipeline, and a `fit` as the daemon would ask for it, with the key that opens its update. */
import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { FitInput, SealedUpdate, TrainerPlaces } from '../../client-agent/src/trainer/trainer-calls.js';
import { canonicalLayout, layoutOf } from '../../core/src/layout.js';
import { limits } from '../../core/src/limits.js';
import { random } from '../../core/src/random.js';
import { tensor, type Tensor } from '../../core/src/tensor.js';
import type { Graph, Model, Node } from '../../models/src/graph/graph.js';
import { partsOf } from '../../models/src/pipeline/load-part.js';
import type { BlobRef, Part } from '../../models/src/pipeline/pipeline.js';
import type { TrainingSpec } from '../../models/src/pipeline/training-spec.js';
import { signingKeyFromSeed } from '../../protos/src/identity/keys.js';
import { createRoundKey, randomSeed } from '../../protos/src/identity/random.adapter.js';
import { signRoundKey } from '../../protos/src/identity/signatures.adapter.js';
import { openEnvelope, openInOrder } from '../../protos/src/sealed/open.adapter.js';
import { folder } from './commands.js';

export interface Sizes {
  readonly examples: number;
  readonly columns: number;
  /** Of the frozen part: how wide its layers are, and how many. */
  readonly width: number;
  readonly depth: number;
}

export interface SiteTraining {
  readonly places: TrainerPlaces;
  /** A new `fit`: the same training where `spec` is the same. */
  fit(spec?: Partial<TrainingSpec>): FitInput;
  /** The delta in a sealed update. */
  open(input: FitInput, update: SealedUpdate): Promise<Float32Array>;
  /** Removes cached features and checkpoints, as on a site that has never trained. */
  forget(): Promise<void>;
  remove(): Promise<void>;
}

const classes = 3;
const featureLength = 16;
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Two clouds of points would be too easy: each class is a sum of two columns, in noise. */
function rowsOf({ examples, columns }: Sizes): string {
  const stream = random(5);
  const names = Array.from({ length: columns }, (_, index) => `c${index}`);
  const lines = Array.from({ length: examples }, (_, row) => {
    const values = names.map((_, column) => stream.normal() + (column % classes === row % classes ? 1 : 0));
    return [...values.map((value) => value.toFixed(4)), `class ${row % classes}`].join(',');
  });
  return [[...names, 'kind'].join(','), ...lines].join('\n');
}

const node = (op: string, inputs: readonly string[], output: string): Node => ({
  name: output,
  op,
  domain: '',
  inputs: [...inputs],
  outputs: [output],
  attributes: {},
});

/** normal(0, 1 / fan in). */
function matrix(rows: number, columns: number, seed: number): Tensor<'float32'> {
  const { normal } = random(seed);
  return tensor(
    'float32',
    [rows, columns],
    Float32Array.from({ length: rows * columns }, () => normal() / Math.sqrt(rows)),
  );
}

function modelOf(graph: Omit<Graph, 'weights'>, weights: ReadonlyMap<string, Tensor<'float32'>>): Model {
  const declared = [...weights].map(([name, { shape }]) => ({ name, dtype: 'float32' as const, shape: [...shape] }));
  return { graph: { ...graph, weights: declared }, weights: new Map<string, Tensor>(weights) };
}

/** Layers of tanh(x W), all of the same W. */
function trunkOf({ columns, width, depth }: Sizes): Model {
  const layers = Array.from({ length: depth }, (_, layer) => [
    node('MatMul', [layer === 0 ? 'x in' : `layer ${layer - 1}`, 'trunk.inner'], `product ${layer}`),
    node('Tanh', [`product ${layer}`], `layer ${layer}`),
  ]);
  return modelOf(
    {
      name: 'trunk',
      inputs: [{ name: 'x', dtype: 'float32', shape: ['batch', columns] }],
      outputs: [{ name: 'features', dtype: 'float32', shape: ['batch', featureLength] }],
      nodes: [
        node('MatMul', ['x', 'trunk.in'], 'x in'),
        ...layers.flat(),
        node('MatMul', [`layer ${depth - 1}`, 'trunk.out'], 'features'),
      ],
    },
    new Map([
      ['trunk.in', matrix(columns, width, 1)],
      ['trunk.inner', matrix(width, width, 2)],
      ['trunk.out', matrix(width, featureLength, 3)],
    ]),
  );
}

/** relu(features W) V: what is trained. */
function tailOf(): Model {
  const hidden = 48;
  return modelOf(
    {
      name: 'tail',
      inputs: [{ name: 'features', dtype: 'float32', shape: ['batch', featureLength] }],
      outputs: [{ name: 'logits', dtype: 'float32', shape: ['batch', classes] }],
      nodes: [
        node('MatMul', ['features', 'head.first'], 'product'),
        node('Relu', ['product'], 'hidden'),
        node('MatMul', ['hidden', 'head.second'], 'logits'),
      ],
    },
    new Map([
      ['head.first', matrix(featureLength, hidden, 4)],
      ['head.second', matrix(hidden, classes, 5)],
    ]),
  );
}

export async function siteTraining(sizes: Sizes): Promise<SiteTraining> {
  const { path, remove } = await folder();
  const at = (name: string): string => join(path, name);
  const places: TrainerPlaces = {
    dataFile: at('data.yaml'),
    indexFile: at('index.json'),
    splitFile: at('split.json'),
    blobs: at('blobs'),
    features: at('features'),
    training: at('training'),
    pauseFile: at('paused.json'),
  };
  await mkdir(places.blobs);
  const names = Array.from({ length: sizes.columns }, (_, index) => `c${index}`);
  await writeFile(places.dataFile, `format: csv\npath: rows.csv\nlabel: kind\ncolumns: [${names.join(', ')}]\n`);
  await writeFile(at('rows.csv'), rowsOf(sizes));

  const put = async (bytes: Uint8Array): Promise<BlobRef> => {
    const hash = sha256(bytes);
    await writeFile(join(places.blobs, hash), bytes);
    return { hash, sizeBytes: bytes.length };
  };
  const putPart = async (model: Model): Promise<Part> => {
    const { graph, frozen } = partsOf(model, []);
    return { graph: await put(graph), weights: frozen === undefined ? [] : [await put(frozen)] };
  };
  const tailModel = tailOf();
  const [trunk, tail] = [await putPart(trunkOf(sizes)), await putPart(tailModel)];
  const [base] = tail.weights;
  if (base === undefined) throw new Error('the tail has no weights');
  const layout = layoutOf([...tailModel.weights].map(([name, { shape }]) => [name, shape] as const));
  const layoutHash = sha256(Buffer.from(canonicalLayout(layout)));
  const [identity, roundKey] = [signingKeyFromSeed(randomSeed()), createRoundKey()];

  const fit = (change: Partial<TrainingSpec> = {}): FitInput => ({
    places,
    pipeline: {
      preprocessing: { kind: 'features', length: sizes.columns },
      trunk,
      tail,
      labels: Array.from({ length: classes }, (_, index) => `class ${index}`),
    },
    training: JSON.stringify({
      loss: 'softmax-cross-entropy',
      optimizer: 'adam',
      learningRate: 0.003,
      epochs: 3,
      batchSize: 16,
      ...change,
    } satisfies TrainingSpec),
    seed: 11,
    calibrateTrunk: false,
    base: { blob: base, encoding: 'fp32', layoutHash },
    seal: {
      context: { taskId: 'task', runId: 'run', round: 1, agentId: 'a', baseHash: base.hash, layoutHash },
      roundKey: roundKey.publicKey,
      roundKeySignature: signRoundKey(identity, { runId: 'run', round: 1, roundKey: roundKey.publicKey }),
      identityKey: identity.publicKey,
      file: at('update.sealed'),
    },
  });
  return {
    places,
    fit,
    open: async ({ seal: { context, file } }, update) => {
      const sealed = await readFile(file);
      const chunks = Array.from({ length: Math.ceil(sealed.length / limits.chunkBytes) }, (_, index) =>
        sealed.subarray(index * limits.chunkBytes, (index + 1) * limits.chunkBytes),
      );
      const envelope = openEnvelope({ ...context, ...update, exampleCount: 0 }, roundKey.secretKey);
      const parts: Uint8Array[] = [];
      for await (const part of openInOrder(envelope, chunks)) parts.push(part);
      return new Float32Array(new Uint8Array(Buffer.concat(parts)).buffer);
    },
    forget: async () => {
      for (const each of [places.features, places.training]) await rm(each, { recursive: true, force: true });
    },
    remove,
  };
}
