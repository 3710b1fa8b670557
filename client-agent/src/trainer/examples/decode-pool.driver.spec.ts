/** The pool with threads that answer what they are told; decoding by real ones is compared in test/decoding.e2e-spec.ts. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { jest } from '@jest/globals';

import { createDecodePool, type DecodePool } from './decode-pool.driver.js';
import type { DecodeJob } from './decode-job.adapter.js';

/** Answers a job with its own name as a number, after the others in hand have begun. */
const fakeThread = `
import { parentPort, threadId } from 'node:worker_threads';
parentPort.on('message', ({ name }) => {
  if (name === 'die') process.exit(3);
  if (name === 'throw') throw new Error('native trouble');
  if (name === 'grow') { const kept = []; for (;;) kept.push(Array.from({ length: 1e5 }, Math.random)); }
  if (name === 'bad') return parentPort.postMessage({ ok: false, code: 'IMAGE_UNREADABLE', message: "'bad' is no image" });
  setTimeout(() => parentPort.postMessage({ ok: true, value: { dtype: 'float32', shape: [2], data: Float32Array.of(Number(name), threadId) } }), (Number(name) * 7) % 20);
});
`;

// Threads of a loaded machine take their time.
jest.setTimeout(30_000);

let folder: string;
let entry: string;
const pools: DecodePool[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'graft pool '));
  entry = join(folder, 'fake.mjs');
  await writeFile(entry, fakeThread);
});
afterEach(async () => {
  for (const pool of pools.splice(0)) await pool.close();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const poolOf = (threads: number): DecodePool => {
  const pool = createDecodePool({ threads, entry, heapMegabytes: 16 });
  pools.push(pool);
  return pool;
};
const job = (name: string): DecodeJob => ({
  path: name,
  name,
  preprocessing: { kind: 'image', channels: 1, height: 1, width: 1, invert: false, scale: 1, offset: 0 },
});

describe('the decode pool', () => {
  it.each([1, 3])('answers every job with its own result, on %p threads and no more', async (threads) => {
    const pool = poolOf(threads);
    const results = await Promise.all(Array.from({ length: 20 }, (_, i) => pool.decode(job(String(i)))));
    expect(results.map(({ data }) => data[0])).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect(new Set(results.map(({ data }) => data[1])).size).toBeLessThanOrEqual(threads);
  });

  it('names the record that cannot be read, and goes on', async () => {
    const pool = poolOf(2);
    await expect(pool.decode(job('bad'))).rejects.toMatchObject({
      code: 'IMAGE_UNREADABLE',
      message: expect.stringContaining("'bad' is no image"),
      details: { record: 'bad' },
    });
    expect((await pool.decode(job('4'))).data[0]).toBe(4);
  });

  it.each([
    ['die', 'exit code 3'],
    ['throw', 'native trouble'],
    ['grow', 'memory'],
  ])('loses only the record whose thread ended: %s', async (name, reason) => {
    const pool = poolOf(1);
    const [lost, kept] = await Promise.allSettled([pool.decode(job(name)), pool.decode(job('5'))]);
    expect(lost).toMatchObject({
      status: 'rejected',
      reason: {
        code: 'IMAGE_UNREADABLE',
        message: expect.stringMatching(new RegExp(`'${name}' cannot be decoded: .*${reason}`)),
      },
    });
    expect(kept).toMatchObject({ status: 'fulfilled', value: { shape: [2] } });
  });

  it('refuses what waits when it is closed', async () => {
    const pool = poolOf(1);
    const all = Promise.allSettled(['1', '2', '3'].map((name) => pool.decode(job(name))));
    await pool.close();
    expect((await all).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
  });
});
