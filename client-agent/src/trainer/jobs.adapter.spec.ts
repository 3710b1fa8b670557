import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { jest } from '@jest/globals';
import { canonicalLayout, layoutOf } from '@graft/core/layout';
import { limits } from '@graft/core/limits';
import { random } from '@graft/core/random';
import { tensor, type Tensor } from '@graft/core/tensor';
import { encodeSafetensors } from '@graft/models/formats/safetensors';
import type { Model } from '@graft/models/graph/graph';
import { partsOf } from '@graft/models/pipeline/load-part';
import type { BlobRef, Part, Pipeline } from '@graft/models/pipeline/pipeline';
import { encodeDownlink } from '@graft/models/quantize/downlink';
import { onnxRuntime } from '@graft/models/runtime/onnxruntime.adapter';
import type { Runtime } from '@graft/models/runtime/runtime';
import { signingKeyFromSeed } from '@graft/protos/identity/keys';
import { createRoundKey, randomSeed } from '@graft/protos/identity/random.adapter';
import { signRoundKey } from '@graft/protos/identity/signatures.adapter';
import { openEnvelope, openInOrder } from '@graft/protos/sealed/open.adapter';

import { createJobs } from './jobs.adapter.js';
import { createModelJobs } from './model-jobs.adapter.js';
import type { FitInput, Progress, SealedUpdate, TrainerPlaces } from './trainer-calls.js';

const columns = 4;
const control = { signal: new AbortController().signal, onProgress: () => undefined };
const identity = signingKeyFromSeed(randomSeed());
const roundKey = createRoundKey();

// Processes, TLS and the disk of a loaded machine take their time.
jest.setTimeout(30_000);

const jobsOn = (runtime: Runtime) => createJobs(() => Promise.resolve(createModelJobs(runtime)));

let folder: string;
let places: TrainerPlaces;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'graft jobs '));
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
  const names = Array.from({ length: columns }, (_, index) => `c${index}`);
  await writeFile(places.dataFile, `format: csv\npath: rows.csv\nlabel: kind\ncolumns: [${names.join(', ')}]\n`);
  await writeFile(join(folder, 'rows.csv'), rows(names));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Two clouds of points, 'left' around -1 and 'right' around 1. */
function rows(names: readonly string[]): string {
  const source = random(5);
  const line = (index: number): string => {
    const centre = index % 2 === 0 ? -1 : 1;
    return [...names.map(() => (centre + source.normal() / 2).toFixed(4)), index % 2 === 0 ? 'left' : 'right'].join(
      ',',
    );
  };
  return [[...names, 'kind'].join(','), ...Array.from({ length: 120 }, (_, index) => line(index))].join('\n');
}

/** logits = x W^T + b, after a trunk that doubles x. */
function linear(weight: Tensor<'float32'>, bias: Tensor<'float32'>): Model {
  return {
    graph: {
      name: 'tail',
      inputs: [{ name: 'doubled', dtype: 'float32', shape: ['batch', columns] }],
      outputs: [{ name: 'logits', dtype: 'float32', shape: ['batch', 2] }],
      weights: [
        { name: 'head.weight', dtype: 'float32', shape: [2, columns] },
        { name: 'head.bias', dtype: 'float32', shape: [2] },
      ],
      nodes: [
        {
          name: 'linear',
          op: 'Gemm',
          domain: '',
          inputs: ['doubled', 'head.weight', 'head.bias'],
          outputs: ['logits'],
          attributes: { transB: { kind: 'int', value: 1 } },
        },
      ],
    },
    weights: new Map<string, Tensor>([
      ['head.weight', weight],
      ['head.bias', bias],
    ]),
  };
}

const doubling: Model = {
  graph: {
    name: 'trunk',
    inputs: [{ name: 'x', dtype: 'float32', shape: ['batch', columns] }],
    outputs: [{ name: 'doubled', dtype: 'float32', shape: ['batch', columns] }],
    weights: [],
    nodes: [{ name: 'double', op: 'Add', domain: '', inputs: ['x', 'x'], outputs: ['doubled'], attributes: {} }],
  },
  weights: new Map(),
};

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

async function put(bytes: Uint8Array): Promise<BlobRef> {
  const hash = sha256(bytes);
  await writeFile(join(places.blobs, hash), bytes);
  return { hash, sizeBytes: bytes.length };
}

async function putPart(model: Model): Promise<Part> {
  const { graph, frozen } = partsOf(model, []);
  return { graph: await put(graph), weights: frozen === undefined ? [] : [await put(frozen)] };
}

async function pipelineOf(weight: readonly number[], labels: readonly string[] = ['left', 'right']): Promise<Pipeline> {
  const tail = linear(
    tensor('float32', [2, columns], Float32Array.from(weight)),
    tensor('float32', [2], new Float32Array(2)),
  );
  return {
    preprocessing: { kind: 'features', length: columns },
    trunk: await putPart(doubling),
    tail: await putPart(tail),
    labels,
  };
}

const untrained = Array.from({ length: 2 * columns }, () => 0);
const layout = layoutOf([
  ['head.weight', [2, columns]],
  ['head.bias', [2]],
]);
const layoutHash = sha256(Buffer.from(canonicalLayout(layout)));

async function fitInput(change: Partial<FitInput> = {}): Promise<FitInput> {
  const pipeline = await pipelineOf(untrained);
  const [blob] = pipeline.tail.weights;
  if (blob === undefined) throw new Error('no base');
  const claim = { runId: 'run', round: 1, roundKey: roundKey.publicKey };
  return {
    places,
    pipeline,
    training: JSON.stringify({
      loss: 'softmax-cross-entropy',
      optimizer: 'sgd',
      learningRate: 0.1,
      epochs: 3,
      batchSize: 16,
    }),
    seed: 11,
    calibrateTrunk: true,
    base: { blob, encoding: 'fp32', layoutHash },
    seal: {
      context: { taskId: 'task', runId: 'run', round: 1, agentId: 'a', baseHash: blob.hash, layoutHash },
      roundKey: roundKey.publicKey,
      roundKeySignature: signRoundKey(identity, claim),
      identityKey: identity.publicKey,
      file: join(folder, 'update.sealed'),
    },
    ...change,
  };
}

/** The delta in the sealed file. */
async function open(input: FitInput, update: SealedUpdate): Promise<Float32Array> {
  const { context, file } = input.seal;
  const sealed = await readFile(file);
  const chunks: Uint8Array[] = [];
  for (let begin = 0; begin < sealed.length; begin += limits.chunkBytes) {
    chunks.push(sealed.subarray(begin, begin + limits.chunkBytes));
  }
  const manifest = { ...context, ...update, exampleCount: 0 };
  const parts: Uint8Array[] = [];
  for await (const part of openInOrder(openEnvelope(manifest, roundKey.secretKey), chunks)) parts.push(part);
  return new Float32Array(new Uint8Array(Buffer.concat(parts)).buffer);
}

describe('the trainer', () => {
  it('counts the examples on both sides of the split', async () => {
    const summary = await jobsOn(onnxRuntime).summary(places, control);
    expect(summary.training + summary.heldOut).toBe(120);
    expect(summary.heldOut).toBeGreaterThan(2);
    expect(summary.labels).toEqual([
      ['left', 60],
      ['right', 60],
    ]);
  });

  it('learns: base plus the delta answers better than the base', async () => {
    const jobs = jobsOn(onnxRuntime);
    const input = await fitInput();
    const { update, exampleCount, report } = await jobs.fit(input, control);
    expect(report.initialLoss).toBeCloseTo(Math.log(2), 5);
    expect(report.loss).toBeLessThan(0.3);
    expect(update.parameterCount).toBe(layout.length);
    const delta = await open(input, update);
    const bias = delta.subarray(0, 2);
    expect(Math.abs((bias[0] ?? 0) + (bias[1] ?? 0))).toBeLessThan(1e-5);
    const trained = await pipelineOf([...delta.subarray(2)]);
    const before = await jobs.evaluate({ places, fp32: input.pipeline }, control);
    const after = await jobs.evaluate({ places, fp32: trained }, control);
    expect(after.fp32.correct).toBe(after.fp32.examples);
    expect(after.fp32.lossSum).toBeLessThan(before.fp32.lossSum / 2);
    expect(exampleCount).toBe(120 - after.fp32.examples);
    expect(after.fp32.latencyP95Ms).toBeGreaterThan(0);
  });

  it('gives the same bits for the same seed, in this process and in a new one, and others for another seed', async () => {
    const deltas: string[] = [];
    const jobs = jobsOn(onnxRuntime);
    for (const [trainer, seed] of [
      [jobs, 11],
      [jobs, 11],
      [jobsOn(onnxRuntime), 11],
      [jobs, 12],
    ] as const) {
      const input = await fitInput({ seed });
      const { update } = await trainer.fit(input, control);
      deltas.push(Buffer.from((await open(input, update)).buffer).toString('hex'));
    }
    expect(deltas[1]).toBe(deltas[0]);
    expect(deltas[2]).toBe(deltas[0]);
    expect(deltas[3]).not.toBe(deltas[0]);
  });

  it('starts from a base in float16 as from the same in float32', async () => {
    const base = encodeDownlink(
      new Map<string, Tensor>([
        ['head.weight', tensor('float32', [2, columns], new Float32Array(2 * columns))],
        ['head.bias', tensor('float32', [2], new Float32Array(2))],
      ]),
    );
    const jobs = jobsOn(onnxRuntime);
    const plain = await fitInput();
    const expected = await open(plain, (await jobs.fit(plain, control)).update);
    const blob = await put(base.bytes);
    const tail = { ...plain.pipeline.tail, weights: [...plain.pipeline.tail.weights, blob] };
    const input = await fitInput({
      pipeline: { ...plain.pipeline, tail },
      base: { blob, encoding: 'fp16', layoutHash },
    });
    expect(await open(input, (await jobs.fit(input, control)).update)).toEqual(expected);
  });

  it('tells the ranges of activations, and leaves no plaintext of the delta on the disk', async () => {
    const input = await fitInput();
    const { update, report } = await jobsOn(onnxRuntime).fit(input, control);
    expect(report.tailRanges.length).toBeGreaterThan(0);
    for (const { min, max } of [...report.tailRanges, ...report.trunkRanges]) expect(min).toBeLessThan(max);
    const delta = Buffer.from((await open(input, update)).buffer);
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const content = await readFile(join(entry.parentPath, entry.name));
      expect(content.includes(delta.subarray(0, 16))).toBe(false);
    }
  });

  it('sees each example once: with the features on the disk the trunk is not needed', async () => {
    await jobsOn(onnxRuntime).fit(await fitInput(), control);
    const calls: string[] = [];
    const counting = {
      ...onnxRuntime,
      load: async (...[model, options]: Parameters<typeof onnxRuntime.load>) => {
        const session = await onnxRuntime.load(model, options);
        return {
          ...session,
          run: (feeds: Parameters<typeof session.run>[0]) => {
            calls.push(model.graph.name);
            return session.run(feeds);
          },
          dispose: () => session.dispose(),
        };
      },
    };
    await jobsOn(counting).fit(await fitInput({ calibrateTrunk: false }), control);
    expect(calls.length).toBeGreaterThan(0);
    expect(calls).not.toContain('trunk');
  });

  it.each([
    ['another layout', { base: { layoutHash: 'a'.repeat(64) } }, 'PLAN_REFUSED'],
    ['options that are none', { training: '{"epochs":0}' }, 'PLAN_REFUSED'],
  ])('refuses a plan with %s', async (_, change, code) => {
    const input = await fitInput();
    const base = 'base' in change ? { ...input.base, ...change.base } : input.base;
    await expect(jobsOn(onnxRuntime).fit({ ...input, ...change, base }, control)).rejects.toMatchObject({ code });
  });

  it('refuses a round key that the coordinator did not sign', async () => {
    const input = await fitInput();
    const seal = { ...input.seal, roundKeySignature: new Uint8Array(64) };
    await expect(jobsOn(onnxRuntime).fit({ ...input, seal }, control)).rejects.toMatchObject({
      code: 'PLAN_REFUSED',
    });
    await expect(readFile(input.seal.file)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('names a label that the task does not have', async () => {
    const pipeline = await pipelineOf(untrained, ['left', 'middle']);
    await expect(jobsOn(onnxRuntime).fit(await fitInput({ pipeline }), control)).rejects.toMatchObject({
      code: 'LABEL_UNKNOWN',
      message: expect.stringContaining("'right'"),
    });
  });

  it('tells a class that the site has not, or refuses to train where the task says so', async () => {
    const labels = ['left', 'right', 'up'];
    const pipeline = { ...(await pipelineOf(untrained)), labels };
    const warnings: string[] = [];
    const telling = { ...control, onProgress: ({ warnings: some = [] }: Progress) => void warnings.push(...some) };
    const input = await fitInput({ pipeline });
    await jobsOn(onnxRuntime).fit(input, telling);
    expect(warnings).toEqual(['1 of 3 classes have no example to train on: up']);
    const training = JSON.stringify({ ...JSON.parse(input.training), emptyClasses: 'refuse' });
    await expect(jobsOn(onnxRuntime).fit({ ...input, training }, control)).rejects.toMatchObject({
      code: 'CLASS_EMPTY',
      message: expect.stringContaining('up'),
    });
  });

  it('ends where it is cancelled', async () => {
    const abort = new AbortController();
    const onProgress = ({ activity }: { readonly activity: string }): void => {
      if (activity === 'training') abort.abort();
    };
    const fitting = jobsOn(onnxRuntime).fit(await fitInput(), { signal: abort.signal, onProgress });
    const error: unknown = await fitting.catch((reason: unknown) => reason);
    expect(abort.signal.aborted).toBe(true);
    expect(error).toBe(abort.signal.reason);
  });

  it('compares two precisions on the held-out examples', async () => {
    const fp32 = await pipelineOf([-1, -1, -1, -1, 1, 1, 1, 1]);
    const int8 = await pipelineOf([-1, -1, -1, -1, 1, 1, 1, 0.9]);
    const same = await jobsOn(onnxRuntime).evaluate({ places, fp32, int8: fp32 }, control);
    expect(same.klSum).toBe(0);
    expect(same.int8).toMatchObject({ examples: same.fp32.examples, correct: same.fp32.correct });
    const different = await jobsOn(onnxRuntime).evaluate({ places, fp32, int8 }, control);
    expect(different.klSum).toBeGreaterThan(0);
  });

  it('answers with label and probability, and with an error of its own for what it cannot read', async () => {
    const pipeline = await pipelineOf([-1, -1, -1, -1, 1, 1, 1, 1]);
    const inputs = [
      { kind: 'features', name: 'row 1', values: Float32Array.of(1, 1, 1, 1) },
      { kind: 'features', name: 'row 2', values: Float32Array.of(1, 1) },
    ] as const;
    const answers = await jobsOn(onnxRuntime).predict({ pipeline, blobs: places.blobs, inputs }, control);
    expect(answers[0]).toMatchObject({ ok: true, label: 'right' });
    expect(answers[0]?.ok && answers[0].probability).toBeCloseTo(1 / (1 + Math.exp(-16)), 6);
    expect(answers[1]).toMatchObject({ ok: false, code: 'DATA_UNSUITABLE' });
  });

  it('says what it runs on', async () => {
    const report = await jobsOn(onnxRuntime).runtime(null, control);
    expect(report).toMatchObject({ name: onnxRuntime.name, device: 'cpu' });
  });

  it('probes with the constant of the plan, whatever the base holds', async () => {
    const input = await fitInput();
    const bytes = encodeSafetensors(new Map([['w', tensor('float32', [7], Float32Array.of(1, 2, 3, 4, 5, 6, 7))]]));
    const hash = sha256(Buffer.from(canonicalLayout(layoutOf([['w', [7]]]))));
    const base = { blob: await put(bytes), encoding: 'fp32', layoutHash: hash } as const;
    const context = { ...input.seal.context, layoutHash: hash, baseHash: base.blob.hash };
    const seal = { ...input.seal, context };
    const update = await jobsOn(onnxRuntime).probe({ blobs: places.blobs, base, add: 0.5, seal }, control);
    expect([...(await open({ ...input, seal }, update))]).toEqual(Array.from({ length: 7 }, () => 0.5));
  });
});
