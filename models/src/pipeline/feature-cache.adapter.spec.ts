/** The feature cache on a real folder, including files that a crash or a fault left behind. */
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { random } from '@graft/core/random';
import { tensor, type Tensor } from '@graft/core/tensor';

import type { Feeds, Session } from '../runtime/runtime.js';
import { cachedFeatures } from './cached-features.js';
import { FeatureCache, type FeatureCacheOptions } from './feature-cache.adapter.js';

const hash = (n: number): string => n.toString(16).padStart(64, '0');
const recordBytes = 48 + 3 * 4;

let directory: string;
// Ahead of the file system's own clock, which a write sets.
let timeMs = Date.now() + 3_600_000;
const caches: FeatureCache[] = [];

const open = (options: Partial<FeatureCacheOptions> = {}): FeatureCache => {
  const cache = new FeatureCache({
    directory,
    trunkHash: hash(1),
    preprocessingHash: hash(2),
    length: 3,
    maxBytes: 100 * recordBytes,
    nowMs: () => (timeMs += 1000),
    ...options,
  });
  caches.push(cache);
  return cache;
};

const segment = (): string => join(directory, readdirSync(directory)[0] ?? '');
const features = (n: number): Float32Array => Float32Array.of(n, n / 3, -n);

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'graft-features-'));
});

afterEach(() => {
  for (const cache of caches.splice(0)) cache.close();
  rmSync(directory, { recursive: true });
});

describe('the feature cache', () => {
  it('gives back what was put, also after it was opened again', () => {
    const first = open();
    for (let n = 0; n < 10; n++) first.put(hash(n), features(n));
    const second = open();
    for (let n = 0; n < 10; n++) {
      expect(first.get(hash(n))).toEqual(features(n));
      expect(second.get(hash(n))).toEqual(features(n));
    }
    expect(second.get(hash(10))).toBeUndefined();
    expect(statSync(segment()).mode & 0o077).toBe(0);
  });

  it('keeps features of another trunk, preprocessing or length apart', () => {
    open().put(hash(7), features(7));
    expect(open({ trunkHash: hash(9) }).get(hash(7))).toBeUndefined();
    expect(open({ preprocessingHash: hash(9) }).get(hash(7))).toBeUndefined();
    expect(open({ length: 4 }).get(hash(7))).toBeUndefined();
  });

  it('loses only the record that was cut off, wherever the cut is', () => {
    const cache = open();
    for (let n = 0; n < 3; n++) cache.put(hash(n), features(n));
    const whole = readFileSync(segment());
    for (let cut = 2 * recordBytes; cut < 3 * recordBytes; cut++) {
      writeFileSync(segment(), whole);
      truncateSync(segment(), cut);
      const reopened = open();
      expect([0, 1].map((n) => reopened.get(hash(n)))).toEqual([features(0), features(1)]);
      expect(reopened.get(hash(2))).toBeUndefined();
      reopened.put(hash(2), features(2));
      expect(open().get(hash(2))).toEqual(features(2));
    }
  });

  it('never gives damaged features, whichever byte is damaged', () => {
    open().put(hash(5), features(5));
    const whole = readFileSync(segment());
    // The 4 bytes of padding before the features carry nothing.
    for (const at of Array.from({ length: recordBytes }, (_, i) => i).filter((i) => i < 44 || i >= 48)) {
      const damaged = Buffer.from(whole);
      damaged[at] = (damaged[at] ?? 0) ^ 0x10;
      writeFileSync(segment(), damaged);
      const reopened = open();
      expect(reopened.get(hash(5))).toBeUndefined();
      reopened.put(hash(5), features(5));
      expect(reopened.get(hash(5))).toEqual(features(5));
      expect(statSync(segment()).size).toBeLessThanOrEqual(2 * recordBytes);
    }
  });

  it('reads a file of noise as empty', () => {
    open().close();
    caches.pop();
    const source = random(1);
    writeFileSync(
      segment(),
      Uint8Array.from({ length: 1000 }, () => source.next() * 256),
    );
    const cache = open();
    expect(cache.get(hash(1))).toBeUndefined();
    cache.put(hash(1), features(1));
    expect(cache.get(hash(1))).toEqual(features(1));
  });

  it('notices a record that changes while it is open', () => {
    const cache = open();
    cache.put(hash(1), features(1));
    const file = openSync(segment(), 'r+');
    writeSync(file, Buffer.of(1), 0, 1, 50);
    closeSync(file);
    expect(cache.get(hash(1))).toBeUndefined();
  });

  it('overwrites its oldest records past the limit, and goes on there after it was opened again', () => {
    const small = { maxBytes: 4 * recordBytes };
    const cache = open(small);
    for (let n = 0; n < 6; n++) cache.put(hash(n), features(n));
    expect([0, 1, 2, 3, 4, 5].filter((n) => cache.get(hash(n)) !== undefined)).toEqual([2, 3, 4, 5]);
    const reopened = open(small);
    reopened.put(hash(6), features(6));
    expect([2, 3, 4, 5, 6].filter((n) => reopened.get(hash(n)) !== undefined)).toEqual([3, 4, 5, 6]);
    expect(statSync(segment()).size).toBe(4 * recordBytes);
  });

  it('puts an example again in its own place', () => {
    const cache = open();
    for (let n = 0; n < 5; n++) cache.put(hash(1), features(n));
    expect(cache.get(hash(1))).toEqual(features(4));
    expect(statSync(segment()).size).toBe(recordBytes);
  });

  it('deletes the segment that was not used for longest when another one needs room', () => {
    const limited = { maxBytes: 4 * recordBytes };
    for (const trunk of [11, 12]) {
      const cache = open({ ...limited, trunkHash: hash(trunk) });
      cache.put(hash(1), features(1));
      cache.put(hash(2), features(2));
    }
    open({ ...limited, trunkHash: hash(11) });
    const newest = open({ ...limited, trunkHash: hash(13) });
    newest.put(hash(1), features(1));
    const left = readdirSync(directory).map((name) => name.slice(0, 64));
    expect(left.sort()).toEqual([hash(11), hash(13)]);
    expect(newest.get(hash(1))).toEqual(features(1));
  });

  it('keeps nothing where not one record fits', () => {
    const cache = open({ maxBytes: recordBytes - 1 });
    cache.put(hash(1), features(1));
    expect(cache.get(hash(1))).toBeUndefined();
    expect(statSync(segment()).size).toBe(0);
  });

  it('refuses features of another length and names that are no hashes', () => {
    const cache = open();
    expect(() => cache.put(hash(1), Float32Array.of(1))).toThrow('1 features');
    expect(() => cache.put('../escape', features(1))).toThrow(RangeError);
    expect(() => open({ trunkHash: '../../etc' })).toThrow('is no sha256');
    expect(existsSync(join(directory, '..', 'escape'))).toBe(false);
  });
});

describe('cached features', () => {
  /** A trunk that doubles, and counts the examples it sees. */
  const doubling = (): { session: Session; seen: () => number } => {
    let seen = 0;
    return {
      seen: () => seen,
      session: {
        run: ({ x }: Feeds) => {
          if (x?.dtype !== 'float32') throw new RangeError('x is missing');
          seen += x.shape[0] ?? 0;
          return Promise.resolve({
            y: tensor(
              'float32',
              x.shape,
              x.data.map((value) => 2 * value),
            ),
          });
        },
        dispose: () => Promise.resolve(),
      },
    };
  };
  const example = (n: number, loads: number[]): { hash: string; load(): Promise<Tensor<'float32'>> } => ({
    hash: hash(n),
    load: () => {
      loads.push(n);
      return Promise.resolve(tensor('float32', [3], Float32Array.of(n, n, n)));
    },
  });

  it('are computed once for each example, in the order of the examples', async () => {
    const { session, seen } = doubling();
    const trunk = { session, names: { input: 'x', output: 'y' }, shape: [3] };
    const loads: number[] = [];
    const progress: number[] = [];
    const examples = [4, 1, 4, 2, 3].map((n) => example(n, loads));
    const cache = open();
    const work = { examples, batchSize: 2, onProgress: (done: number) => progress.push(done) };
    const first = await cachedFeatures(trunk, cache, work);
    expect([...first.data]).toEqual([8, 8, 8, 2, 2, 2, 8, 8, 8, 4, 4, 4, 6, 6, 6]);
    expect([seen(), loads, progress]).toEqual([4, [4, 1, 2, 3], [0, 3, 5]]);
    expect(await cachedFeatures(trunk, open(), work)).toEqual(first);
    expect(seen()).toBe(4);
  });

  it('are refused where the trunk gives another shape', async () => {
    const { session } = doubling();
    const trunk = { session, names: { input: 'x', output: 'y' }, shape: [2] };
    await expect(
      cachedFeatures(trunk, open({ length: 2 }), { examples: [example(1, [])], batchSize: 8 }),
    ).rejects.toMatchObject({ code: 'MODEL_MALFORMED' });
  });
});
