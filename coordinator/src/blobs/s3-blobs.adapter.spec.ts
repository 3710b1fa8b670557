/** The contract on a real S3 server, and what only a shared bucket can do: other replicas, a server that is away, wrong settings. */
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { limits } from '@graft/core/limits';

import { startS3, whyNoS3, type TemporaryS3 } from '../../../test/s3.adapter.js';
import { blobStoreContract, chunkOf, hashOf, sampleBytes, send } from './blob-store.contract.js';
import { localCopies } from './local-copies.adapter.js';
import { blobKey, s3Blobs, type S3Blobs } from './s3-blobs.adapter.js';
import { s3Objects, type S3Objects } from './s3-objects.adapter.js';
import { s3Settings, type S3Settings } from './s3-settings.js';

const { chunkBytes } = limits;
const missing = await whyNoS3();
const directories: string[] = [];
const opened: S3Objects[] = [];
let server: TemporaryS3 | undefined;

const running = async (): Promise<TemporaryS3> => (server ??= await startS3());

async function newDirectory(): Promise<string> {
  const directory = await fs.mkdtemp(join(tmpdir(), 'graft blobs-'));
  directories.push(directory);
  return directory;
}

async function newSettings(): Promise<S3Settings> {
  const s3 = await running();
  return s3Settings(`s3://${await s3.createBucket()}/hub/blobs`, s3);
}

interface Replica extends S3Blobs {
  readonly objects: S3Objects;
}

async function replica(settings: S3Settings, limitBytes = 1e9): Promise<Replica> {
  const objects = s3Objects(settings);
  opened.push(objects);
  const local = await localCopies(await newDirectory(), limitBytes);
  return { ...s3Blobs({ objects, local, nowMs: () => Date.now() }), objects };
}

afterAll(async () => {
  for (const objects of opened) objects.close();
  await server?.stop();
  for (const directory of directories) await fs.rm(directory, { recursive: true, force: true });
});

const keysOf = async ({ objects }: Replica, prefix: string): Promise<string[]> => {
  const keys: string[] = [];
  for await (const { key } of objects.list(prefix)) keys.push(key);
  return keys;
};

if (missing !== undefined) {
  process.stderr.write(
    `Skipped: the contract of blobs in a bucket. ${missing}. GRAFT_REQUIRE_S3=1 makes this a failure.\n`,
  );
  test(`the contract of blobs in a bucket is skipped: ${missing}`, () => {
    expect(process.env['GRAFT_REQUIRE_S3']).not.toBe('1');
  });
} else {
  blobStoreContract('a bucket', async () => replica(await newSettings()));
  describe('replicas on one bucket', () => {
    betweenReplicas();
  });
  describe('a large blob', () => {
    largeBlobs();
  });
  describe('a bucket that cannot be used', () => {
    refusals();
  });
}

function betweenReplicas(): void {
  const bytes = sampleBytes(4 * chunkBytes + 77);
  const hash = hashOf(bytes);

  test('an upload goes on at another replica from where it stopped, back and forth', async () => {
    const settings = await newSettings();
    const [a, b] = await Promise.all([replica(settings), replica(settings)]);
    await send(a, bytes, 2);
    expect(await b.partial(hash)).toBe(2);
    await send(b, bytes, 3);
    expect(await a.partial(hash)).toBe(3);
    await send(a, bytes);
    expect(await a.finish(hash, bytes.byteLength)).toEqual({ hash, sizeBytes: bytes.byteLength });
    expect(hashOf(await b.read(hash))).toBe(hash);
    expect(await keysOf(b, 'partial/')).toEqual([]);
  });

  test('two replicas that take the same chunks at once end with the right blob', async () => {
    const settings = await newSettings();
    const replicas = await Promise.all([replica(settings), replica(settings)]);
    const sender = async (store: Replica): Promise<void> => {
      while ((await store.has(hash)) === undefined) {
        try {
          await send(store, bytes);
          await store.finish(hash, bytes.byteLength);
        } catch (error) {
          expect(error).toMatchObject({
            code: expect.stringMatching(/^(CHUNK_OUT_OF_ORDER|NOT_FOUND|BLOB_CORRUPT)$/u),
          });
        }
      }
    };
    await Promise.all(replicas.map(sender));
    for (const store of replicas) expect(hashOf(await store.read(hash))).toBe(hash);
  });

  test('chunks that were dropped at one replica are not used by another', async () => {
    const settings = await newSettings();
    const [a, b] = await Promise.all([replica(settings), replica(settings)]);
    await a.appendChunk(hash, 0, sampleBytes(chunkBytes, 99));
    await a.appendChunk(hash, 1, chunkOf(bytes, 1));
    await expect(b.finish(hash, bytes.byteLength)).rejects.toMatchObject({ code: 'BLOB_CORRUPT' });
    expect(await a.partial(hash)).toBe(0);
    await send(a, bytes);
    expect((await a.finish(hash, bytes.byteLength)).hash).toBe(hash);
  });

  test('a replica whose disk was lost has every blob again', async () => {
    const settings = await newSettings();
    const before = await replica(settings);
    await before.put(bytes);
    const after = await replica(settings);
    expect(hashOf(await after.readChunk(hash, 4))).toBe(hashOf(chunkOf(bytes, 4)));
    await after.fetch(hash);
    expect(hashOf(await fs.readFile(after.path(hash)))).toBe(hash);
  });

  test('a blob that was damaged in the bucket is not given to workers', async () => {
    const settings = await newSettings();
    const before = await replica(settings);
    await before.put(bytes);
    await before.objects.put(blobKey(hash), sampleBytes(bytes.byteLength, 5), { replace: true });
    await expect((await replica(settings)).fetch(hash)).rejects.toMatchObject({ code: 'BLOB_CORRUPT' });
  });

  test('copies on the disk stay within their bound, and those that went come back', async () => {
    const store = await replica(await newSettings(), 3 * chunkBytes);
    const blobs = [1, 2, 3, 4, 5].map((seed) => sampleBytes(chunkBytes, seed));
    for (const each of blobs) await store.put(each);
    const onDisk = async (): Promise<number> => {
      const found = await Promise.all(
        blobs.map(async (each) =>
          fs.stat(store.path(hashOf(each))).then(
            () => 1,
            () => 0,
          ),
        ),
      );
      return found.reduce<number>((sum, one) => sum + one, 0);
    };
    expect(await onDisk()).toBeLessThanOrEqual(3);
    for (const each of blobs) expect(hashOf(await store.read(hashOf(each)))).toBe(hashOf(each));
    expect(await onDisk()).toBeLessThanOrEqual(3);
  });
}

function largeBlobs(): void {
  test('goes up in parts and comes down in ranges', async () => {
    const settings = await newSettings();
    const bytes = sampleBytes(21 * chunkBytes + 5);
    const store = await replica(settings);
    expect(await store.put(bytes)).toEqual({ hash: hashOf(bytes), sizeBytes: bytes.byteLength });
    await (await replica(settings)).put(bytes);
    expect(hashOf(await (await replica(settings)).read(hashOf(bytes)))).toBe(hashOf(bytes));
  });
}

function refusals(): void {
  test.each([
    [
      'a bucket that is not there',
      { bucket: 'nobody-made-it' },
      'BLOB_STORE_REFUSED',
      /--blobs: there is no bucket 'nobody-made-it'/,
    ],
    [
      'a key that the server does not know',
      { credentials: { accessKeyId: 'stranger', secretAccessKey: 'secret' } },
      'BLOB_STORE_REFUSED',
      /GRAFT_BLOBS_ACCESS_KEY/,
    ],
    [
      'a wrong secret',
      { credentials: { accessKeyId: 'graft-test-key', secretAccessKey: 'wrong' } },
      'BLOB_STORE_REFUSED',
      /GRAFT_BLOBS_SECRET_KEY/,
    ],
    [
      'nobody at the address',
      { endpoint: 'http://127.0.0.1:9' },
      'BLOB_STORE_UNAVAILABLE',
      /--blobs-endpoint: .*:9 .*ECONNREFUSED/,
    ],
  ])('%s is named', async (_, change, code, message) => {
    const objects = s3Objects({ ...(await newSettings()), ...change });
    opened.push(objects);
    await expect(objects.check()).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  test('a server that comes back is used again, and what was acknowledged is there', async () => {
    const bytes = sampleBytes(3 * chunkBytes);
    const hash = hashOf(bytes);
    const s3 = await startS3();
    try {
      const store = await replica(s3Settings(`s3://${await s3.createBucket()}`, s3));
      await send(store, bytes, 2);
      await s3.kill();
      await expect(store.appendChunk(hash, 2, chunkOf(bytes, 2))).rejects.toMatchObject({
        code: 'BLOB_STORE_UNAVAILABLE',
      });
      await s3.restart();
      expect(await store.partial(hash)).toBe(2);
      await send(store, bytes);
      expect(await store.finish(hash, bytes.byteLength)).toEqual({ hash, sizeBytes: bytes.byteLength });
    } finally {
      await s3.stop();
    }
  });
}
