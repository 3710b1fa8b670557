/** What every blob store keeps, whatever it lies on. */
import { createCipheriv, createHash } from 'node:crypto';

import * as fc from 'fast-check';

import { limits } from '@graft/core/limits';

import type { BlobStore } from './blob-store.js';

const { chunkBytes } = limits;

export const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Bytes that look random and are the same each time. */
export function sampleBytes(sizeBytes: number, seed = 1): Uint8Array {
  const key = Buffer.alloc(16);
  key.writeUInt32LE(seed);
  return Uint8Array.from(createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(new Uint8Array(sizeBytes)));
}

export const chunkOf = (bytes: Uint8Array, index: number): Uint8Array =>
  bytes.subarray(index * chunkBytes, (index + 1) * chunkBytes);

/** Sends the chunks of a blob from where the store is. */
export async function send(store: BlobStore, bytes: Uint8Array, upTo = Infinity): Promise<void> {
  const hash = hashOf(bytes);
  const count = Math.min(upTo, Math.ceil(bytes.byteLength / chunkBytes));
  for (let index = await store.partial(hash); index < count; index++) {
    await store.appendChunk(hash, index, chunkOf(bytes, index));
  }
}

/** Paths and near-hashes that must never reach a file system. */
export const hostileHashes = [
  '',
  '..',
  '../../etc/passwd',
  `../${'a'.repeat(61)}`,
  'A'.repeat(64),
  'a'.repeat(63),
  'a'.repeat(65),
  `${'a'.repeat(63)}/`,
  `${'a'.repeat(64)}\n`,
  `${'a'.repeat(63)}\0`,
];

export function blobStoreContract(name: string, open: () => Promise<BlobStore>): void {
  describe(`blobs in ${name}`, () => {
    let store: BlobStore;
    beforeEach(async () => {
      store = await open();
    });
    wholeBlobs(() => store);
    receivedBlobs(() => store);
    receivedTogether(() => store);
    forgottenBlobs(() => store);
  });
}

function wholeBlobs(store: () => BlobStore): void {
  test('bytes that were put come back, whole and by chunk', async () => {
    for (const size of [0, 1, chunkBytes - 1, chunkBytes, chunkBytes + 1, 2 * chunkBytes]) {
      const bytes = sampleBytes(size, size + 1);
      const ref = await store().put(bytes);
      expect(ref).toEqual({ hash: hashOf(bytes), sizeBytes: size });
      expect(await store().has(ref.hash)).toBe(size);
      expect(hashOf(await store().read(ref.hash))).toBe(ref.hash);
      for (let index = 0; index * chunkBytes < size; index++) {
        expect(hashOf(await store().readChunk(ref.hash, index))).toBe(hashOf(chunkOf(bytes, index)));
      }
    }
  });

  test('putting the same bytes many times at once stores them once', async () => {
    const bytes = sampleBytes(1000);
    const refs = await Promise.all(Array.from({ length: 8 }, () => store().put(bytes)));
    expect(new Set(refs.map(({ hash }) => hash))).toEqual(new Set([hashOf(bytes)]));
    expect(hashOf(await store().read(hashOf(bytes)))).toBe(hashOf(bytes));
  });

  test('what is not stored is not found', async () => {
    const hash = hashOf(sampleBytes(3));
    expect(await store().has(hash)).toBeUndefined();
    expect(await store().partial(hash)).toBe(0);
    await expect(store().read(hash)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(store().readChunk(hash, 0)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(store().finish(hash, 3)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('a chunk past the end, before the start or between two is refused', async () => {
    const { hash } = await store().put(sampleBytes(10));
    for (const index of [-1, 1, 2 ** 40, 0.5, Number.NaN]) {
      await expect(store().readChunk(hash, index)).rejects.toMatchObject({ code: 'CHUNK_OUT_OF_RANGE' });
    }
  });

  test('a deleted blob is gone, and deleting it again changes nothing', async () => {
    const bytes = sampleBytes(10);
    const { hash } = await store().put(bytes);
    await store().delete(hash);
    await store().delete(hash);
    expect(await store().has(hash)).toBeUndefined();
    await store().put(bytes);
    expect(await store().has(hash)).toBe(10);
  });

  test.each(hostileHashes)('no call takes %j for a hash', async (hash) => {
    const calls = [
      async () => store().has(hash),
      async () => store().read(hash),
      async () => store().readChunk(hash, 0),
      async () => store().partial(hash),
      async () => store().appendChunk(hash, 0, new Uint8Array(1)),
      async () => store().finish(hash, 1),
      async () => store().delete(hash),
      async () => store().path(hash),
    ];
    for (const call of calls) await expect(call()).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
  });
}

function receivedBlobs(store: () => BlobStore): void {
  test('a blob that comes in chunks goes on from where it stopped', async () => {
    const bytes = sampleBytes(2 * chunkBytes + 77);
    const hash = hashOf(bytes);
    await send(store(), bytes, 2);
    expect(await store().partial(hash)).toBe(2);
    expect(await store().has(hash)).toBeUndefined();
    await send(store(), bytes);
    expect(await store().finish(hash, bytes.byteLength)).toEqual({ hash, sizeBytes: bytes.byteLength });
    expect(hashOf(await store().read(hash))).toBe(hash);
    expect(await store().finish(hash, bytes.byteLength)).toEqual({ hash, sizeBytes: bytes.byteLength });
  });

  test('a chunk out of turn is refused and what is there stays', async () => {
    const bytes = sampleBytes(3 * chunkBytes);
    const hash = hashOf(bytes);
    await send(store(), bytes, 1);
    for (const index of [0, 2, -1]) {
      const refused = store().appendChunk(hash, index, chunkOf(bytes, 1));
      await expect(refused).rejects.toMatchObject({ code: 'CHUNK_OUT_OF_ORDER' });
    }
    expect(await store().partial(hash)).toBe(1);
    await send(store(), bytes);
    expect((await store().finish(hash, bytes.byteLength)).hash).toBe(hash);
  });

  test('a chunk larger than a chunk is refused', async () => {
    const bytes = sampleBytes(chunkBytes + 1);
    const refused = store().appendChunk(hashOf(bytes), 0, bytes);
    await expect(refused).rejects.toMatchObject({ code: 'TOO_LARGE' });
    expect(await store().partial(hashOf(bytes))).toBe(0);
  });

  test('bytes of another hash or size never become the blob, and the sender may start again', async () => {
    const bytes = sampleBytes(chunkBytes + 5);
    const hash = hashOf(bytes);
    const forged = bytes.slice();
    forged[chunkBytes + 2] = (forged[chunkBytes + 2] ?? 0) ^ 1;
    const attempts = [
      { sent: forged, sizeBytes: forged.byteLength },
      { sent: bytes.subarray(0, chunkBytes + 4), sizeBytes: bytes.byteLength },
      { sent: bytes, sizeBytes: bytes.byteLength + 1 },
    ];
    for (const { sent, sizeBytes } of attempts) {
      await store().appendChunk(hash, 0, chunkOf(sent, 0));
      await store().appendChunk(hash, 1, chunkOf(sent, 1));
      await expect(store().finish(hash, sizeBytes)).rejects.toMatchObject({ code: 'BLOB_CORRUPT' });
      expect([await store().has(hash), await store().partial(hash)]).toEqual([undefined, 0]);
    }
    await send(store(), bytes);
    expect(await store().finish(hash, bytes.byteLength)).toEqual({ hash, sizeBytes: bytes.byteLength });
  });
}

function receivedTogether(store: () => BlobStore): void {
  test('two who send the same blob at once do not spoil it', async () => {
    const bytes = sampleBytes(3 * chunkBytes + 9);
    const hash = hashOf(bytes);
    const sender = async (): Promise<void> => {
      while ((await store().has(hash)) === undefined) {
        try {
          await send(store(), bytes);
          await store().finish(hash, bytes.byteLength);
        } catch (error) {
          // The other one was faster.
          expect(error).toMatchObject({ code: expect.stringMatching(/^(CHUNK_OUT_OF_ORDER|NOT_FOUND)$/u) });
        }
      }
    };
    await Promise.all([sender(), sender(), sender()]);
    expect(hashOf(await store().read(hash))).toBe(hash);
  });

  test('a chunk that comes after the blob is whole does not change it', async () => {
    const bytes = sampleBytes(10);
    const { hash } = await store().put(bytes);
    await store().appendChunk(hash, 0, sampleBytes(10, 99));
    expect(hashOf(await store().read(hash))).toBe(hash);
    expect(await store().finish(hash, 10)).toEqual({ hash, sizeBytes: 10 });
  });

  test('any bytes in any order of put and send come back', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 5000 }), fc.boolean(), async (bytes, isSent) => {
        if (isSent) await send(store(), bytes);
        const ref = isSent ? await store().finish(hashOf(bytes), bytes.byteLength) : await store().put(bytes);
        expect(hashOf(await store().read(ref.hash))).toBe(hashOf(bytes));
      }),
      { numRuns: 30 },
    );
  });
}

/** Times are the store's own: a sweep happens `afterMs` from now. */
const sweepAfter = (afterMs: number, maxBytes = Infinity) => ({
  atMs: Date.now() + afterMs,
  maxAgeMs: 3_600_000,
  maxBytes,
  graceMs: 60_000,
});

function forgottenBlobs(store: () => BlobStore): void {
  test('what was received of a blob that nobody finishes is swept when it is old, and the sender may start again', async () => {
    const bytes = sampleBytes(2 * chunkBytes + 5);
    const hash = hashOf(bytes);
    await send(store(), bytes, 2);
    expect(await store().sweepPartials(sweepAfter(600_000))).toEqual({ count: 0, sizeBytes: 0 });
    expect(await store().partial(hash)).toBe(2);
    expect(await store().sweepPartials(sweepAfter(4_000_000))).toEqual({ count: 1, sizeBytes: 2 * chunkBytes });
    expect(await store().partial(hash)).toBe(0);
    await send(store(), bytes);
    expect(await store().finish(hash, bytes.byteLength)).toEqual({ hash, sizeBytes: bytes.byteLength });
  });

  test('what was received is swept when it takes too much room, but not while it is being received', async () => {
    const bytes = sampleBytes(2 * chunkBytes);
    await send(store(), bytes, 1);
    expect((await store().sweepPartials(sweepAfter(0, 0))).count).toBe(0);
    expect((await store().sweepPartials(sweepAfter(600_000, chunkBytes))).count).toBe(0);
    expect((await store().sweepPartials(sweepAfter(600_000, 0))).count).toBe(1);
    expect(await store().partial(hashOf(bytes))).toBe(0);
  });

  test('a sweep leaves whole blobs alone', async () => {
    const { hash } = await store().put(sampleBytes(10));
    await store().sweepPartials(sweepAfter(1e12, 0));
    expect(await store().has(hash)).toBe(10);
  });
}
