import { mkdtemp, readdir, rm, truncate, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { tensor } from '@graft/core/tensor';

import { featureKey, openFeatureStore } from './feature-store.adapter.js';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'graft-features-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const features = tensor('float32', [2, 3], Float32Array.of(1, -2, 3.5, 1e-30, 0, 7));
const blob = (letter: string) => ({ hash: letter.repeat(64), sizeBytes: 1 });
const preprocessing = { kind: 'features', length: 3 } as const;

describe('the store of features', () => {
  it('gives back what it was given, bit for bit, to another process too', async () => {
    await (await openFeatureStore(folder, 'key')).write('ab12', features);
    expect(await (await openFeatureStore(folder, 'key')).read('ab12')).toEqual(features);
  });

  it('has nothing of another example or another trunk', async () => {
    await (await openFeatureStore(folder, 'key')).write('ab12', features);
    expect(await (await openFeatureStore(folder, 'key')).read('ab13')).toBeUndefined();
    expect(await (await openFeatureStore(folder, 'other')).read('ab12')).toBeUndefined();
  });

  it.each([0, 3, 8, 20])('has nothing where a file was cut to %i bytes', async (length) => {
    const store = await openFeatureStore(folder, 'key');
    await store.write('ab12', features);
    await truncate(join(folder, 'key/ab/ab12'), length);
    expect(await store.read('ab12')).toBeUndefined();
  });

  it('keeps the trunks that were used last', async () => {
    for (let index = 0; index < 6; index++) {
      await openFeatureStore(folder, `key-${index}`);
      await utimes(join(folder, `key-${index}`), index + 1, index + 1);
    }
    expect((await readdir(folder)).sort()).toEqual(['key-2', 'key-3', 'key-4', 'key-5']);
  });

  it('tells trunks and preprocessings apart', () => {
    const trunk = { graph: blob('a'), weights: [blob('b')] };
    const keys = [
      featureKey({ preprocessing }),
      featureKey({ preprocessing, trunk }),
      featureKey({ preprocessing, trunk: { ...trunk, weights: [blob('c')] } }),
      featureKey({ preprocessing: { kind: 'features', length: 4 }, trunk }),
    ];
    expect(new Set(keys).size).toBe(keys.length);
    expect(featureKey({ preprocessing, trunk: { ...trunk } })).toBe(keys[1]);
  });
});
