import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { BlobRef } from '@graft/models/pipeline/pipeline';
import { applyDelta } from '@graft/protos/delta/apply.adapter';

import { openBlobDirectory } from '../blobs/blob-directory.adapter.js';
import { hashOf, sampleBytes } from '../blobs/blob-store.contract.js';
import { silentLog } from '../server/log.js';
import { createDeltas, type DeltaStore } from './create-deltas.js';
import { makeDelta, type MadeDelta, type MakeDelta } from './make-delta.adapter.js';

const hash = (letter: string): string => letter.repeat(64);
const large: BlobRef = { hash: hash('b'), sizeBytes: 1_000_000 };
const delta: BlobRef = { hash: hash('d'), sizeBytes: 10 };

function rig(make: (pair: MakeDelta) => Promise<MadeDelta>) {
  const known = new Map<string, BlobRef | 'whole'>();
  const store: DeltaStore = {
    get: async (from, to) => known.get(from + to),
    put: async (from, to, made) => void known.set(from + to, made),
  };
  const waiting: (() => void)[] = [];
  const sizes = new Map([
    [hash('a'), large.sizeBytes],
    [hash('c'), 5],
    [delta.hash, delta.sizeBytes],
  ]);
  const made: MakeDelta[] = [];
  const deltas = createDeltas({
    nowMs: () => 0,
    after: (_, run) => {
      waiting.push(run);
      return () => undefined;
    },
    blobs: { has: async (name) => sizes.get(name) },
    store,
    make: async (pair) => {
      made.push(pair);
      return make(pair);
    },
    log: silentLog,
  });
  return { deltas, made, known, sizes, passTime: () => waiting.forEach((run) => run()) };
}

describe('deltas that agents ask for', () => {
  test('are made once, however many ask at the same time, and never again', async () => {
    const { deltas, made } = rig(async () => ({ delta }));
    const asked = await Promise.all(Array.from({ length: 20 }, () => deltas.find([hash('a')], large)));
    expect(asked).toEqual(asked.map(() => ({ from: hash('a'), blob: delta })));
    await deltas.find([hash('a')], large);
    expect(made).toEqual([{ from: { hash: hash('a'), sizeBytes: large.sizeBytes }, to: large }]);
  });

  test('that are not worth it are known too', async () => {
    const { deltas, made } = rig(async () => ({ none: 'as large' }));
    expect(await deltas.find([hash('a')], large)).toBeUndefined();
    expect(await deltas.find([hash('a')], large)).toBeUndefined();
    expect(made).toHaveLength(1);
  });

  test('are not made from a base of another size, or for what is small', async () => {
    const { deltas, made } = rig(async () => ({ delta }));
    expect(await deltas.find([hash('c'), hash('e')], large)).toBeUndefined();
    expect(await deltas.find([hash('a')], { ...large, sizeBytes: 1_000 })).toBeUndefined();
    expect(made).toEqual([]);
  });

  test('that take too long are not waited for, but kept for the next', async () => {
    let finish: (made: MadeDelta) => void = () => undefined;
    const { deltas, known, passTime } = rig(() => new Promise((resolve) => (finish = resolve)));
    const asked = deltas.find([hash('a')], large);
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    passTime();
    expect(await asked).toBeUndefined();
    finish({ delta });
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    expect(known.size).toBe(1);
    expect(await deltas.find([hash('a')], large)).toEqual({ from: hash('a'), blob: delta });
  });

  test('that fail are given as the whole, and tried again for the next', async () => {
    let failing = true;
    const { deltas } = rig(async () => {
      if (failing) throw new Error('no memory');
      return { delta };
    });
    expect(await deltas.find([hash('a')], large)).toBeUndefined();
    failing = false;
    expect(await deltas.find([hash('a')], large)).toBeDefined();
  });

  test('whose blob is gone are made again', async () => {
    const { deltas, made, sizes } = rig(async () => ({ delta }));
    await deltas.find([hash('a')], large);
    sizes.delete(delta.hash);
    await deltas.find([hash('a')], large);
    expect(made).toHaveLength(2);
  });

  test('of many pairs at once do not queue without end', async () => {
    const { deltas, made, sizes } = rig(() => new Promise(() => undefined));
    for (let index = 0; index < 50; index++) {
      const from = index.toString(16).padStart(64, '0');
      sizes.set(from, large.sizeBytes);
      void deltas.find([from], large);
    }
    for (let turn = 0; turn < 50; turn++) await Promise.resolve();
    expect(made).toHaveLength(4);
  });
});

describe('a delta of two blobs', () => {
  let directory: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'graft-make-delta-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  test('is a blob that makes one of the other, the same each time, and leaves nothing else', async () => {
    const blobs = await openBlobDirectory(directory);
    const scratch = join(directory, 'partial');
    const base = sampleBytes(3_000_001);
    const target = base.map((byte, index) => (index % 50 === 0 ? (byte + 1) & 0xff : byte));
    const [from, to] = [await blobs.put(base), await blobs.put(target)];
    const made = await makeDelta({ from, to }, blobs, scratch);
    if (!('delta' in made)) throw new Error(made.none);
    expect(made.delta.sizeBytes).toBeLessThan(0.9 * target.byteLength);
    expect(await makeDelta({ from, to }, blobs, scratch)).toEqual(made);
    expect(await readdir(scratch)).toEqual([]);
    const files = { base: blobs.path(from.hash), delta: blobs.path(made.delta.hash), target: join(directory, 'made') };
    await applyDelta(files, { sizeBytes: to.sizeBytes, from: from.hash, to: to.hash });
    expect(hashOf(target)).toBe(to.hash);
  });

  test('that have nothing in common is not kept', async () => {
    const blobs = await openBlobDirectory(directory);
    const [from, to] = [await blobs.put(sampleBytes(2_000_000, 1)), await blobs.put(sampleBytes(2_000_000, 2))];
    expect(await makeDelta({ from, to }, blobs, join(directory, 'partial'))).toEqual({
      none: expect.stringContaining('the whole 2000000'),
    });
    expect(await readdir(join(directory, 'partial'))).toEqual([]);
  });
});
