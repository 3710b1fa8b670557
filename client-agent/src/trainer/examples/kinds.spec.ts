/** A round at a site for every kind of data: features, training, ranges, measuring, answering; over small models written here. */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { jest } from '@jest/globals';
import { canonicalLayout, layoutOf } from '@graft/core/layout';
import { random } from '@graft/core/random';
import { tensor, type Tensor } from '@graft/core/tensor';
import { encodeSafetensors } from '@graft/models/formats/safetensors';
import type { Attribute, Model, Node, Value } from '@graft/models/graph/graph';
import { partsOf } from '@graft/models/pipeline/load-part';
import type { BlobRef, Part, Pipeline } from '@graft/models/pipeline/pipeline';
import { preprocessingSchema } from '@graft/models/pipeline/preprocessing';
import { onnxRuntime } from '@graft/models/runtime/onnxruntime.adapter';
import { signingKeyFromSeed } from '@graft/protos/identity/keys';
import { createRoundKey, randomSeed } from '@graft/protos/identity/random.adapter';
import { signRoundKey } from '@graft/protos/identity/signatures.adapter';
import sharp from 'sharp';

import { createJobs } from '../jobs.adapter.js';
import { createModelJobs } from '../model-jobs.adapter.js';
import type { FitInput, PredictSource, TrainerPlaces } from '../trainer-calls.js';

// Sessions are made and images decoded; a loaded machine takes its time.
jest.setTimeout(60_000);

const identity = signingKeyFromSeed(randomSeed());
const roundKey = createRoundKey();
const control = { signal: new AbortController().signal, onProgress: () => undefined };
const jobs = createJobs(() => Promise.resolve(createModelJobs(onnxRuntime)));
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

let folder: string;
let places: TrainerPlaces;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'graft kinds '));
  places = {
    dataFile: join(folder, 'data.yaml'),
    indexFile: join(folder, 'index.json'),
    splitFile: join(folder, 'split.json'),
    blobs: join(folder, 'blobs'),
    features: join(folder, 'features'),
    training: join(folder, 'training'),
    pauseFile: join(folder, 'paused.json'),
  };
  await mkdir(places.blobs);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const write = (name: string, content: string | Uint8Array): Promise<void> => writeFile(join(folder, name), content);

async function put(bytes: Uint8Array): Promise<BlobRef> {
  await writeFile(join(places.blobs, sha256(bytes)), bytes);
  return { hash: sha256(bytes), sizeBytes: bytes.length };
}

async function putPart(model: Model): Promise<Part> {
  const { graph, frozen } = partsOf(model, []);
  return { graph: await put(graph), weights: frozen === undefined ? [] : [await put(frozen)] };
}

const value = (name: string, dtype: 'float32' | 'int64', ...shape: number[]): Value => ({
  name,
  dtype,
  shape: ['batch', ...shape],
});
const node = (
  op: string,
  inputs: readonly string[],
  output: string,
  attributes: Record<string, Attribute> = {},
): Node => ({
  name: output,
  op,
  domain: '',
  inputs,
  outputs: [output],
  attributes,
});
const int = (number: number): Attribute => ({ kind: 'int', value: number });

function model(
  name: string,
  parts: { inputs: Value[]; output: Value; nodes: Node[]; weights?: Record<string, Tensor> },
): Model {
  const weights = Object.entries(parts.weights ?? {});
  return {
    graph: {
      name,
      inputs: parts.inputs,
      outputs: [parts.output],
      weights: weights.map(([weight, { dtype, shape }]) => ({ name: weight, dtype, shape })),
      nodes: parts.nodes,
    },
    weights: new Map(weights),
  };
}

/** The trained end of every tail here. */
const headNode = (input: string): Node =>
  node('Gemm', [input, 'head.weight', 'head.bias'], 'logits', { transB: int(1) });
const headOf = (width: number): Record<string, Tensor> => ({
  'head.weight': tensor('float32', [2, width], new Float32Array(2 * width)),
  'head.bias': tensor('float32', [2], new Float32Array(2)),
});
const head = (input: Value, width: number): Model =>
  model('tail', {
    inputs: [input],
    output: value('logits', 'float32', 2),
    nodes: [headNode(input.name)],
    weights: headOf(width),
  });

const words = 24;
const tokens = 6;
const wide = 5;

/** Mean over the words of a text of their vectors: [batch, 5]. */
function bagOfWords(output: string): { inputs: Value[]; nodes: Node[]; weights: Record<string, Tensor> } {
  const source = random(3);
  return {
    inputs: [value('input_ids', 'int64', tokens), value('attention_mask', 'int64', tokens)],
    nodes: [
      node('Gather', ['vectors', 'input_ids'], 'words', { axis: int(0) }),
      node('Cast', ['attention_mask'], 'mask', { to: int(1) }),
      node('Unsqueeze', ['mask', 'last'], 'weights'),
      node('Mul', ['words', 'weights'], 'counted'),
      node('ReduceSum', ['counted', 'second'], output, { keepdims: int(0) }),
    ],
    weights: {
      vectors: tensor(
        'float32',
        [words, wide],
        Float32Array.from({ length: words * wide }, () => source.normal()),
      ),
      last: tensor('int64', [1], BigInt64Array.of(2n)),
      second: tensor('int64', [1], BigInt64Array.of(1n)),
    },
  };
}

const tokenizer = (): Uint8Array => {
  const special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]'];
  const names = ['good', 'fine', 'bad', 'poor', 'thing', 'day', 'it', 'was', 'a'];
  const vocab = Object.fromEntries([...special, ...names].map((word, id) => [word, id]));
  return new TextEncoder().encode(
    JSON.stringify({
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: special.map((content, id) => ({
        id,
        content,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      })),
      normalizer: {
        type: 'BertNormalizer',
        clean_text: true,
        handle_chinese_chars: true,
        strip_accents: null,
        lowercase: true,
      },
      pre_tokenizer: { type: 'BertPreTokenizer' },
      post_processor: null,
      decoder: null,
      model: {
        type: 'WordPiece',
        unk_token: '[UNK]',
        continuing_subword_prefix: '##',
        max_input_chars_per_word: 100,
        vocab,
      },
    }),
  );
};

const layoutOfHead = (width: number) =>
  layoutOf([
    ['head.weight', [2, width]],
    ['head.bias', [2]],
  ]);

async function fitInput(pipeline: Pipeline, width: number, training: object = {}): Promise<FitInput> {
  const blob = await put(encodeSafetensors(new Map(Object.entries(headOf(width)))));
  const layoutHash = sha256(Buffer.from(canonicalLayout(layoutOfHead(width))));
  const claim = { runId: 'run', round: 1, roundKey: roundKey.publicKey };
  return {
    places,
    pipeline: { ...pipeline, tail: { ...pipeline.tail, weights: [...pipeline.tail.weights, blob] } },
    training: JSON.stringify({
      loss: 'softmax-cross-entropy',
      optimizer: 'adam',
      learningRate: 0.05,
      epochs: 20,
      batchSize: 16,
      ...training,
    }),
    seed: 11,
    calibrateTrunk: pipeline.trunk !== undefined,
    base: { blob, encoding: 'fp32', layoutHash },
    seal: {
      context: { taskId: 'task', runId: 'run', round: 1, agentId: 'a', baseHash: blob.hash, layoutHash },
      roundKey: roundKey.publicKey,
      roundKeySignature: signRoundKey(identity, claim),
      identityKey: identity.publicKey,
      file: join(folder, 'update.sealed'),
    },
  };
}

/** Fits, measures and answers; the loss must fall to a third. */
async function expectRound(pipeline: Pipeline, width: number, question: PredictSource, training: object = {}) {
  const input = await fitInput(pipeline, width, training);
  const { report, exampleCount } = await jobs.fit(input, control);
  expect(report.loss).toBeLessThan(report.initialLoss / 3);
  expect(report.tailRanges.length).toBeGreaterThan(0);
  const measured = await jobs.evaluate({ places, fp32: input.pipeline, int8: input.pipeline }, control);
  expect(measured.fp32.examples + exampleCount).toBe(60);
  expect(measured.klSum).toBe(0);
  const [answer] = await jobs.predict({ pipeline: input.pipeline, blobs: places.blobs, inputs: [question] }, control);
  expect(answer).toMatchObject({ ok: true, probability: 0.5 });
}

const labels = ['no', 'yes'] as const;
const sides = Array.from({ length: 60 }, (_, i) => ({ label: labels[i % 2] ?? 'no', sign: i % 2 === 0 ? -1 : 1, i }));

describe('a round', () => {
  it('on a table of words and numbers, standardised by the site, skips and names what the task does not take', async () => {
    const source = random(1);
    const lines = sides.map(
      ({ label, sign, i }) =>
        `${1e6 + sign * 50 + 20 * source.normal()},${i % 3 === 0 ? '' : i},${sign < 0 ? 'red' : 'blue'},${label}`,
    );
    await write('rows.csv', ['income,age,colour,label', ...lines, '1e6,4,green,yes'].join('\n'));
    await write(
      'data.yaml',
      'format: csv\npath: rows.csv\nlabel: label\nnumeric: [income, age]\ncategorical: { tint: colour }\n',
    );
    const preprocessing = preprocessingSchema.parse({
      kind: 'tabular',
      standardise: 'site',
      columns: [
        { name: 'income', kind: 'numeric' },
        { name: 'tint', kind: 'category', vocabulary: ['red', 'blue'] },
        { name: 'age', kind: 'numeric', missing: 'mean' },
      ],
    });
    const pipeline = {
      preprocessing,
      tail: await putPart(head(value('numbers', 'float32', 4), 4)),
      labels: [...labels],
    };
    const cells = [1e6, 'red', null];
    // The statistics of the site are a file of its own: without them nothing can be answered.
    const question = { kind: 'row', name: 'q', columns: ['income', 'tint', 'age'], cells } as const;
    const input = await fitInput(pipeline, 4);
    const { report, exampleCount } = await jobs.fit(input, control);
    expect(report.loss).toBeLessThan(report.initialLoss / 3);
    const { fp32 } = await jobs.evaluate({ places, fp32: input.pipeline }, control);
    expect(fp32.examples + exampleCount).toBe(60);
    expect(await readdir(folder)).toContain('statistics.json');
    await expect(
      jobs.predict({ pipeline: input.pipeline, blobs: places.blobs, inputs: [question] }, control),
    ).rejects.toMatchObject({
      code: 'DATA_UNSUITABLE',
    });
  });

  const text = async () => ({
    preprocessing: preprocessingSchema.parse({ kind: 'text', tokenizer: await put(tokenizer()), maxLength: tokens }),
    labels: [...labels],
  });
  const reviews = async (): Promise<void> => {
    const lines = sides.map(({ label, sign, i }) =>
      JSON.stringify({
        text: `it was a ${sign < 0 ? (i % 3 ? 'bad' : 'poor') : i % 3 ? 'good' : 'fine'} thing ${'a '.repeat(i % 7)}${i} day`,
        label,
      }),
    );
    await write('rows.jsonl', [...lines, '{"text":"  ","label":"yes"}', '{"broken'].join('\n'));
    await write('data.yaml', 'format: jsonl\npath: rows.jsonl\nlabel: label\ntext: text\n');
  };

  it('on texts, with a frozen trunk of several inputs', async () => {
    await reviews();
    const trunk = model('trunk', { ...bagOfWords('pooled'), output: value('pooled', 'float32', wide) });
    const pipeline = {
      ...(await text()),
      trunk: await putPart(trunk),
      tail: await putPart(head(value('pooled', 'float32', wide), wide)),
    };
    await expectRound(pipeline, wide, { kind: 'text', name: 'q', text: 'a good day' });
  });

  it('on texts, where all of the network is the tail, which then takes several inputs', async () => {
    await reviews();
    const bag = bagOfWords('pooled');
    const tail = model('tail', {
      ...bag,
      output: value('logits', 'float32', 2),
      nodes: [...bag.nodes, headNode('pooled')],
      weights: { ...bag.weights, ...headOf(wide) },
    });
    await expectRound({ ...(await text()), tail: await putPart(tail) }, wide, {
      kind: 'text',
      name: 'q',
      text: 'a good day',
    });
  });

  it('on series of numbers', async () => {
    const source = random(2);
    const series = tensor(
      'float32',
      [60, 8, 2],
      Float32Array.from({ length: 60 * 16 }, (_, i) => (Math.floor(i / 16) % 2 === 0 ? -1 : 1) + source.normal()),
    );
    const y = tensor(
      'int64',
      [60],
      BigInt64Array.from(sides, ({ i }) => BigInt(i % 2)),
    );
    const bytes = encodeSafetensors(
      new Map<string, Tensor>([
        ['x', series],
        ['y', y],
      ]),
    );
    await write('series.safetensors', bytes);
    await write('data.yaml', 'format: safetensors\npath: series.safetensors\nlabels: { "0": "no", "1": "yes" }\n');
    const trunk = model('trunk', {
      inputs: [value('steps', 'float32', 8, 2)],
      output: value('mean', 'float32', 2),
      nodes: [node('ReduceMean', ['steps', 'axis'], 'mean', { keepdims: int(0) })],
      weights: { axis: tensor('int64', [1], BigInt64Array.of(1n)) },
    });
    const preprocessing = preprocessingSchema.parse({ kind: 'tensor', shape: [8, 2], mean: [0, 0], std: [1, 1] });
    const pipeline = {
      preprocessing,
      labels: [...labels],
      trunk: await putPart(trunk),
      tail: await putPart(head(value('mean', 'float32', 2), 2)),
    };
    const at = bytes.length - 60 * 16 * 4;
    await expectRound(pipeline, 2, {
      kind: 'tensor',
      name: 'q',
      path: join(folder, 'series.safetensors'),
      offset: at - (at % 4),
      dtype: 'float32',
      shape: [8, 2],
    });
  });

  const pictures = async (): Promise<Omit<Pipeline, 'trunk'>> => {
    for (const label of labels) await mkdir(join(folder, 'images', label), { recursive: true });
    await Promise.all(
      sides.map(({ label, sign, i }) => {
        const pixels = Uint8Array.from(
          { length: 6 * 6 * 3 },
          (_, at) => 128 + sign * 60 + ((at * 31 + i * 17) % 60) - 30,
        );
        return sharp(pixels, { raw: { width: 6, height: 6, channels: 3 } })
          .png()
          .toFile(join(folder, 'images', label, `${i}.png`));
      }),
    );
    await write('images/yes/broken.png', 'not an image');
    await write('data.yaml', 'format: image-folder\npath: images\n');
    const preprocessing = preprocessingSchema.parse({
      kind: 'image',
      channels: 3,
      height: 6,
      width: 6,
      invert: false,
      scale: 1 / 64,
      offset: -2,
    });
    const tail = model('tail', {
      inputs: [value('pixels', 'float32', 3, 6, 6)],
      output: value('logits', 'float32', 2),
      nodes: [node('ReduceMean', ['pixels', 'axes'], 'mean', { keepdims: int(0) }), headNode('mean')],
      weights: { axes: tensor('int64', [2], BigInt64Array.of(2n, 3n)), ...headOf(3) },
    });
    return { preprocessing, labels: [...labels], tail: await putPart(tail) };
  };
  const changes = {
    crop: { minArea: 0.5 },
    flip: 0.5,
    rotation: 10,
    colour: { brightness: 0.1, contrast: 0.1, saturation: 0.1 },
  };

  it.each([
    ['not varied', {}],
    ['varied anew in every epoch', { augmentation: { place: 'before-trunk', ...changes } }],
    ['in three variants each', { augmentation: { place: 'before-trunk', variants: 3, ...changes } }],
    ['varied behind the cache', { augmentation: { place: 'after-trunk', ...changes, noise: 0.1 } }],
    ['blended in pairs', { augmentation: { place: 'after-trunk', mixup: 0.1 }, epochs: 30 }],
  ])('on images that are %s gives the same loss for the same seed', async (_, training) => {
    const pipeline = await pictures();
    const input = await fitInput(pipeline, 3, training);
    const first = await jobs.fit(input, control);
    expect(first.report.loss).toBeLessThan(first.report.initialLoss / 1.5);
    await rm(places.features, { recursive: true, force: true });
    const again = createJobs(() => Promise.resolve(createModelJobs(onnxRuntime)));
    expect((await again.fit(input, control)).report.loss).toBe(first.report.loss);
    expect(first.exampleCount + (await jobs.evaluate({ places, fp32: input.pipeline }, control)).fp32.examples).toBe(
      60,
    );
  });
});
