import { createHash } from 'node:crypto';
import { mkdtemp, readFile, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { limits } from '@graft/core/limits';

import { openBlobCache } from './blob-cache.adapter.js';

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

describe('the cache of blobs', () => {
  it('goes on from the last whole chunk after a cut connection', async () => {
    const cache = openBlobCache(folder);
    const blob = refOf(content);
    await expect(cache.fetch(blob, (first) => chunks(content, first, 1))).rejects.toThrow('connection cut');
    expect(await cache.has(blob)).toBe(false);
    const asked: number[] = [];
    const received = await openBlobCache(folder).fetch(blob, (first) => {
      asked.push(first);
      return chunks(content, first);
    });
    expect(asked).toEqual([1]);
    expect(received).toBe(content.length - limits.chunkBytes);
    expect(Buffer.compare(await readFile(cache.path(blob.hash)), content)).toBe(0);
  });

  it('does not trust a file of another process before it has hashed it', async () => {
    const blob = refOf(content);
    await openBlobCache(folder).fetch(blob, (first) => chunks(content, first));
    const damaged = Uint8Array.from(content);
    damaged[7] = 255;
    await writeFile(openBlobCache(folder).path(blob.hash), damaged);
    const cache = openBlobCache(folder);
    expect(await cache.has(blob)).toBe(false);
    await cache.fetch(blob, (first) => chunks(content, first));
    expect(Buffer.compare(await readFile(cache.path(blob.hash)), content)).toBe(0);
  });

  it('asks for nothing that it has', async () => {
    const cache = openBlobCache(folder);
    const blob = refOf(content);
    await cache.fetch(blob, (first) => chunks(content, first));
    expect(
      await cache.fetch(blob, () => {
        throw new Error('asked again');
      }),
    ).toBe(0);
  });

  it.each([
    ['other bytes', content.map((byte) => byte ^ 1)],
    ['too few bytes', content.subarray(0, 10)],
    ['too many bytes', new Uint8Array(content.length + limits.chunkBytes)],
  ])('refuses %s and keeps nothing of them', async (_, wrong) => {
    const cache = openBlobCache(folder);
    await expect(cache.fetch(refOf(content), (first) => chunks(wrong, first))).rejects.toMatchObject({
      code: 'TRANSFER_CORRUPT',
    });
    expect(await readdir(folder)).toEqual([]);
  });

  it('holds an empty blob', async () => {
    const cache = openBlobCache(folder);
    const blob = refOf(new Uint8Array());
    await cache.fetch(blob, () => chunks(new Uint8Array(), 0));
    expect(await cache.has(blob)).toBe(true);
  });

  it('deletes what was unused longest, and never what is kept', async () => {
    const cache = openBlobCache(folder);
    const blobs = [1, 2, 3].map((value) => new Uint8Array(100).fill(value));
    for (const [index, bytes] of blobs.entries()) {
      const blob = refOf(bytes);
      await cache.fetch(blob, () => chunks(bytes, 0));
      await utimes(cache.path(blob.hash), index, index);
    }
    const [first, second, third] = blobs.map(refOf);
    await cache.prune(new Set([first?.hash ?? '']), 200);
    expect((await readdir(folder)).sort()).toEqual([first?.hash, third?.hash].sort());
    expect(second).toBeDefined();
  });
});
