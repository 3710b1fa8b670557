/** Features of a site's examples over a runtime that counts what its trunk sees. */
import { createHash } from 'node:crypto';
import { mkdtemp, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { tensor } from '@graft/core/tensor';
import type { Model } from '@graft/models/graph/graph';
import { partsOf } from '@graft/models/pipeline/load-part';
import type { BatchTensors } from '@graft/models/pipeline/batches/example-tensors';
import type { Runtime } from '@graft/models/runtime/runtime';

import type { Example } from '../../data/dataset.js';
import { ResidentSessions } from '../resident-sessions.adapter.js';
import { siteBatches } from './batches.adapter.js';
import { FeatureReader, type FeatureRequest } from './site-features.adapter.js';

const trunkModel: Model = {
  graph: {
    name: 'trunk',
    inputs: [{ name: 'x', dtype: 'float32', shape: ['batch', 2] }],
    outputs: [{ name: 'doubled', dtype: 'float32', shape: ['batch', 2] }],
    weights: [],
    nodes: [{ name: 'double', op: 'Add', domain: '', inputs: ['x', 'x'], outputs: ['doubled'], attributes: {} }],
  },
  weights: new Map(),
};

let folder: string;
let seen: number[];
let request: FeatureRequest;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'graft features '));
  seen = [];
  const places = { blobs: join(folder, 'blobs'), features: join(folder, 'features') };
  await mkdir(places.blobs);
  request = { places, signal: new AbortController().signal, onProgress: () => undefined };
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Doubles, and notes the first number of each example that it sees. */
const counting = {
  name: 'counting',
  load: () =>
    Promise.resolve({
      run: ({ x }: BatchTensors) => {
        if (x?.dtype !== 'float32') throw new RangeError('x is missing');
        for (let row = 0; row < (x.shape[0] ?? 0); row++) seen.push(x.data[row * 2] ?? NaN);
        const data = x.data.map((value) => 2 * value);
        return Promise.resolve({ doubled: tensor('float32', x.shape, data) });
      },
      dispose: () => Promise.resolve(),
    }),
} as unknown as Runtime;

const reader = (): FeatureReader => new FeatureReader(new ResidentSessions(counting));

async function parts() {
  const { graph } = partsOf(trunkModel, []);
  const hash = createHash('sha256').update(graph).digest('hex');
  await writeFile(join(request.places.blobs, hash), graph);
  const trunk = { graph: { hash, sizeBytes: graph.length }, weights: [] };
  return { preprocessing: { kind: 'features', length: 2 } as const, trunk };
}

const example = (n: number): Example => ({
  name: `row ${n}`,
  hash: createHash('sha256').update(String(n)).digest('hex'),
  label: 'a',
  source: { kind: 'features', values: Float32Array.of(n, -n) },
});
const examples = Array.from({ length: 20 }, (_, n) => example(n));
const firsts = async (read: Promise<readonly BatchTensors[]>): Promise<number[]> =>
  (await read).map(({ doubled }) => Number(doubled?.data[0]));

describe("a site's features", () => {
  it('are made once for each example, and afterwards read from the disk in whatever order', async () => {
    const features = await reader().of([...examples, example(3)], await parts(), request);
    expect(seen).toHaveLength(20);
    expect(await firsts(features.read([7, 0, 20, 7]))).toEqual([14, 0, 6, 14]);
    const again = await reader().of(examples, await parts(), request);
    expect(await firsts(again.read([19, 1]))).toEqual([38, 2]);
    expect(seen).toHaveLength(20);
  });

  it('that are gone from the disk are made again', async () => {
    const features = await reader().of(examples, await parts(), request);
    const [segment = ''] = await readdir(request.places.features);
    await writeFile(join(request.places.features, segment), '');
    expect(await firsts(features.read([4, 5]))).toEqual([8, 10]);
    expect(seen.slice(20)).toEqual([4, 5]);
  });

  it('varied before the trunk are made anew in every epoch, and none is kept', async () => {
    const varying = { augmentation: { place: 'before-trunk', noise: 0.1 } as const, seed: 1 };
    const features = await reader().of(examples, await parts(), { ...request, varying });
    expect(seen).toEqual([]);
    const [first, second, same] = [
      await firsts(features.read([3], 0)),
      await firsts(features.read([3], 1)),
      await firsts(features.read([3], 0)),
    ];
    expect(first).toEqual(same);
    expect(second).not.toEqual(first);
    expect(seen).toHaveLength(3);
    expect(await readdir(folder)).toEqual(['blobs']);
    // Without an epoch, as for the ranges of activations, an example is what it is.
    expect(await firsts(features.read([3]))).toEqual([6]);
  });

  it('in so many variants are kept, each of them', async () => {
    const varying = { augmentation: { place: 'before-trunk', variants: 2, noise: 0.1 } as const, seed: 1 };
    const features = await reader().of(examples.slice(0, 3), await parts(), { ...request, varying });
    const epochs = [0, 1, 2, 3].map((epoch) => () => firsts(features.read([0, 1, 2], epoch)));
    const all: number[][] = [];
    for (const epoch of epochs) all.push(await epoch());
    expect(all[2]).toEqual(all[0]);
    expect(all[3]).toEqual(all[1]);
    expect(all[1]).not.toEqual(all[0]);
    expect(seen).toHaveLength(6);
  });

  it('varied behind the trunk cost it nothing', async () => {
    const varying = { augmentation: { place: 'after-trunk', noise: 0.1 } as const, seed: 1 };
    const features = await reader().of(examples, await parts(), { ...request, varying });
    const [first, second] = [await firsts(features.read([3], 0)), await firsts(features.read([3], 1))];
    expect(second).not.toEqual(first);
    expect(seen).toHaveLength(20);
  });

  it('of a record that cannot be read are left out, and it is named', async () => {
    const columns = ['age'];
    const rows = [1, null, 3].map((cell, n): Example => ({
      ...example(n),
      source: { kind: 'row', columns, cells: [cell] },
    }));
    const preprocessing = {
      kind: 'tabular',
      standardise: 'task',
      columns: [{ name: 'age', kind: 'numeric', mean: 0, std: 1, missing: 'skip' }],
    } as const;
    const warnings: string[] = [];
    const onProgress: FeatureRequest['onProgress'] = ({ warnings: some = [] }) => warnings.push(...some);
    const features = await reader().of(rows, { preprocessing }, { ...request, onProgress });
    expect(warnings).toEqual([expect.stringContaining('1 of 3 examples cannot be used, row 1: ')]);
    expect(features.examples.map(({ name }) => name)).toEqual(['row 0', 'row 2']);
    expect(features.unreadable).toEqual([{ name: 'row 1', reason: expect.stringContaining('row 1 has no age') }]);
    const values = (await features.read([1])).map(({ numbers }) => numbers?.data[0]);
    expect(values).toEqual([3]);
  });

  it('of none that can be read are refused with the first reasons, and of another kind at once', async () => {
    const missing: Example = { ...example(1), source: { kind: 'image', path: join(folder, 'no.png') } };
    const preprocessing = {
      kind: 'image',
      channels: 1,
      height: 2,
      width: 2,
      invert: false,
      scale: 1,
      offset: 0,
    } as const;
    await expect(reader().of([missing], { preprocessing }, request)).rejects.toMatchObject({
      code: 'DATA_EMPTY',
      message: expect.stringContaining('no.png'),
    });
    await expect(reader().of(examples, { preprocessing }, request)).rejects.toMatchObject({
      code: 'DATA_UNSUITABLE',
      message: expect.stringContaining('row 0 is a row of numbers, the model takes images'),
    });
  });

  it('stay right when two trainings read side by side', async () => {
    const features = await reader().of(examples, await parts(), request);
    const reads = Array.from({ length: 30 }, (_, i) => firsts(features.read([i % 20, (i * 7) % 20])));
    expect(await Promise.all(reads)).toEqual(Array.from({ length: 30 }, (_, i) => [2 * (i % 20), 2 * ((i * 7) % 20)]));
  });
});

describe('batches of a site', () => {
  const step = (dtype: 'int32' | 'float32') =>
    ({
      inputs: [{ name: 'pixels', dtype: 'float32', shape: ['batch', 2] }],
      targets: [{ name: 'labels', dtype, shape: ['batch'], role: 'labels', of: 'logits' }],
      classes: 3,
    }) as unknown as Parameters<typeof siteBatches>[0];
  const labels = Int32Array.from(examples, (_, i) => i % 3);

  it('feed the inputs and labels of the step by their names', async () => {
    const features = await reader().of(examples, await parts(), request);
    const batches = siteBatches(step('int32'), { features, labels });
    expect(batches.count).toBe(20);
    expect(await batches.batch([4, 8], 0)).toEqual({
      pixels: tensor('float32', [2, 2], Float32Array.of(8, -8, 16, -16)),
      labels: tensor('int32', [2], Int32Array.of(1, 2)),
    });
  });

  it('feed shares of the classes where the step takes those, and blend them where the task says so', async () => {
    const features = await reader().of(examples, await parts(), request);
    const soft = await siteBatches(step('float32'), { features, labels }).batch([4, 8], 0);
    expect(soft['labels']).toEqual(tensor('float32', [2, 3], Float32Array.of(0, 1, 0, 0, 0, 1)));
    const varying = { augmentation: { place: 'after-trunk', mixup: 1 } as const, seed: 5 };
    const mixed = siteBatches(step('float32'), { features, labels, varying });
    const first = await mixed.batch([4, 8, 1], 0);
    expect(await mixed.batch([4, 8, 1], 0)).toEqual(first);
    expect(await mixed.batch([4, 8, 1], 1)).not.toEqual(first);
    expect(() => siteBatches(step('int32'), { features, labels, varying })).toThrow(
      expect.objectContaining({ code: 'DATA_UNSUITABLE', message: expect.stringContaining('soft labels') }),
    );
  });
});
