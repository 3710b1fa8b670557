import { createHash } from 'node:crypto';
import { mkdtemp, readFile, readdir, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { limits } from '@graft/core/limits';
import { packBlock } from '@graft/protos/delta/blocks.adapter';
import { encodeHeader } from '@graft/protos/delta/format';

import { openBlobCache, type BlobCache } from './blob-cache.adapter.js';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'graft-cache-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const content = Uint8Array.from({ length: limits.chunkBytes * 2 + 100 }, (_, index) => (index * 31) % 251);
const refOf = (bytes: Uint8Array) => ({
  hash: createHash('sha256').update(bytes).digest('hex'),
  sizeBytes: bytes.length,
});
async function* chunks(bytes: Uint8Array, first: number, cutAfter = Infinity): AsyncGenerator<Uint8Array> {
  for (let index = first; index * limits.chunkBytes < bytes.length; index++) {
    if (index - first >= cutAfter) throw new Error('connection cut');
    yield bytes.subarray(index * limits.chunkBytes, (index + 1) * limits.chunkBytes);
  }
}
const arriving = (bytes: Uint8Array, firstChunk = 0, cutAfter = Infinity) => ({
  firstChunk,
  chunks: chunks(bytes, firstChunk, cutAfter),
});
const contentOf = async (cache: BlobCache, hash: string): Promise<Uint8Array> => readFile(cache.path(hash));

describe('the cache of blobs', () => {
  it('goes on from the last whole chunk after a cut connection, also in another process', async () => {
    const cache = openBlobCache(folder);
    const blob = refOf(content);
    await expect(cache.receive(blob, arriving(content, 0, 1))).rejects.toThrow('connection cut');
    expect(await cache.has(blob)).toBe(false);
    const later = openBlobCache(folder);
    expect(await later.kept(blob.hash)).toEqual({ chunks: 1 });
    expect(await later.receive(blob, arriving(content, 1))).toBe(content.length - limits.chunkBytes);
    expect(Buffer.compare(await contentOf(cache, blob.hash), content)).toBe(0);
  });

  it('cuts off a chunk that a kill tore', async () => {
    const cache = openBlobCache(folder);
    const blob = refOf(content);
    await expect(cache.receive(blob, arriving(content, 0, 2))).rejects.toThrow('connection cut');
    await truncate(`${cache.path(blob.hash)}.part`, limits.chunkBytes + 77);
    expect(await openBlobCache(folder).kept(blob.hash)).toEqual({ chunks: 1 });
    await cache.receive(blob, arriving(content, 1));
    expect(await cache.has(blob)).toBe(true);
  });

  it('starts again where the part is damaged', async () => {
    const cache = openBlobCache(folder);
    const blob = refOf(content);
    await expect(cache.receive(blob, arriving(content, 0, 1))).rejects.toThrow('connection cut');
    await writeFile(`${cache.path(blob.hash)}.part`, Buffer.alloc(limits.chunkBytes));
    await expect(cache.receive(blob, arriving(content, 1))).rejects.toMatchObject({ code: 'TRANSFER_CORRUPT' });
    expect(await cache.kept(blob.hash)).toEqual({ chunks: 0 });
    await cache.receive(blob, arriving(content));
    expect(await cache.has(blob)).toBe(true);
  });

  it('does not trust a file of another process before it has hashed it', async () => {
    const blob = refOf(content);
    await openBlobCache(folder).receive(blob, arriving(content));
    const damaged = Uint8Array.from(content);
    damaged[7] = 255;
    await writeFile(openBlobCache(folder).path(blob.hash), damaged);
    const cache = openBlobCache(folder);
    expect(await cache.has(blob)).toBe(false);
    await cache.receive(blob, arriving(content));
    expect(Buffer.compare(await contentOf(cache, blob.hash), content)).toBe(0);
  });

  it.each([
    ['other bytes', content.map((byte) => byte ^ 1)],
    ['too few bytes', content.subarray(0, 10)],
    ['too many bytes', new Uint8Array(content.length + limits.chunkBytes)],
  ])('refuses %s and keeps nothing of them', async (_, wrong) => {
    const cache = openBlobCache(folder);
    await expect(cache.receive(refOf(content), arriving(wrong))).rejects.toMatchObject({ code: 'TRANSFER_CORRUPT' });
    expect(await readdir(folder)).toEqual([]);
  });

  it('holds an empty blob', async () => {
    const cache = openBlobCache(folder);
    const blob = refOf(new Uint8Array());
    await cache.receive(blob, arriving(new Uint8Array()));
    expect(await cache.has(blob)).toBe(true);
  });

  it('deletes what was unused longest, and never what is kept', async () => {
    const cache = openBlobCache(folder);
    const blobs = [1, 2, 3].map((value) => new Uint8Array(100).fill(value));
    for (const [index, bytes] of blobs.entries()) {
      const blob = refOf(bytes);
      await cache.receive(blob, arriving(bytes));
      await utimes(cache.path(blob.hash), index, index);
    }
    const [first, second, third] = blobs.map(refOf);
    await cache.prune(new Set([first?.hash ?? '']), 200, Date.now());
    expect((await readdir(folder)).sort()).toEqual([first?.hash, third?.hash].sort());
    expect(second).toBeDefined();
  });

  it('deletes parts that nobody came back for in a week, whatever the room', async () => {
    const cache = openBlobCache(folder);
    const [old, recent] = [content, content.map((byte) => byte ^ 1)];
    for (const bytes of [old, recent]) {
      await expect(cache.receive(refOf(bytes), arriving(bytes, 0, 1))).rejects.toThrow('connection cut');
    }
    const weekAgo = Date.now() / 1000 - 8 * 86_400;
    await utimes(`${cache.path(refOf(old).hash)}.part`, weekAgo, weekAgo);
    await cache.prune(new Set(), 1e12, Date.now());
    expect(await readdir(folder)).toEqual([`${refOf(recent).hash}.part`]);
  });
});

describe('a delta in the cache', () => {
  const base = content;
  const target = content.map((byte, index) => (byte + ((index * index) >> 3)) & 0xff);
  const header = { sizeBytes: target.length, from: refOf(base).hash, to: refOf(target).hash };
  const delta = Buffer.concat([
    encodeHeader(header),
    ...[0, 1, 2].map((index) => {
      const at = index * limits.chunkBytes;
      return packBlock(target.subarray(at, at + limits.chunkBytes), base.subarray(at, at + limits.chunkBytes));
    }),
  ]);
  const named = { from: header.from, blob: refOf(delta) };

  it('becomes the blob, with what is here of the right size as its base', async () => {
    const cache = openBlobCache(folder);
    await cache.receive(refOf(base), arriving(base));
    await cache.receive(refOf(Buffer.from('small')), arriving(Buffer.from('small')));
    expect(await cache.ofSize(target.length, 4)).toEqual([header.from]);
    expect(await cache.receiveDelta(refOf(target), named, arriving(delta))).toBe(delta.length);
    expect(await openBlobCache(folder).has(refOf(target))).toBe(true);
    expect((await readdir(folder)).some((name) => name.includes('.'))).toBe(false);
  });

  it('goes on from its last chunk', async () => {
    expect(delta.length).toBeGreaterThan(limits.chunkBytes);
    const cache = openBlobCache(folder);
    await cache.receive(refOf(base), arriving(base));
    await expect(cache.receiveDelta(refOf(target), named, arriving(delta, 0, 1))).rejects.toThrow('connection cut');
    expect(await openBlobCache(folder).kept(header.to)).toEqual({ chunks: 1, delta: named.blob.hash });
    await openBlobCache(folder).receiveDelta(refOf(target), named, arriving(delta, 1));
    expect(await cache.has(refOf(target))).toBe(true);
  });

  it('that makes something else, or whose base is gone, leaves nothing', async () => {
    const cache = openBlobCache(folder);
    await cache.receive(refOf(base), arriving(base));
    const wrong = Buffer.concat([encodeHeader(header), delta.subarray(84, delta.length - 1), Buffer.of(0)]);
    const lying = { from: header.from, blob: refOf(wrong) };
    await expect(cache.receiveDelta(refOf(target), lying, arriving(wrong))).rejects.toMatchObject({
      code: 'DELTA_INVALID',
    });
    expect(await readdir(folder)).toEqual([header.from]);
    await rm(cache.path(header.from));
    await expect(cache.receiveDelta(refOf(target), named, arriving(delta))).rejects.toMatchObject({
      code: 'DELTA_INVALID',
    });
    expect(await readdir(folder)).toEqual([]);
  });
});
