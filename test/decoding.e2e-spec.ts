/** Images decoded and varied by the threads of the built program give the same bits, however many threads there are. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { jest } from '@jest/globals';

import { createDecodePool, type DecodePool } from '../client-agent/src/trainer/examples/decode-pool.driver.js';
import sharp from 'sharp';

// Threads load the built program; a loaded machine takes its time.
jest.setTimeout(60_000);

const entry = join(import.meta.dirname, '../client-agent/dist/trainer/examples/decode.main.js');
const preprocessing = {
  kind: 'image',
  channels: 3,
  height: 32,
  width: 24,
  invert: false,
  scale: [0.1, 0.2, 0.3],
  offset: -1,
} as const;
const changes = {
  crop: { minArea: 0.3 },
  flip: 0.5,
  rotation: 15,
  colour: { brightness: 0.3, contrast: 0.3, saturation: 0.3 },
  noise: 0.01,
};

let folder: string;
const files: string[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'graft decoding '));
  for (let i = 0; i < 12; i++) {
    const pixels = Uint8Array.from({ length: 40 * 30 * 3 }, (_, at) => (at * (i + 7) * 13) % 251);
    const file = join(folder, `${i}.jpg`);
    await sharp(pixels, { raw: { width: 40, height: 30, channels: 3 } })
      .jpeg()
      .toFile(file);
    files.push(file);
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function decoded(pool: DecodePool): Promise<string[]> {
  try {
    const all = await Promise.all(
      files.map((path, i) => pool.decode({ path, name: path, preprocessing, variation: { changes, seed: i } })),
    );
    return all.map(({ data }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64'));
  } finally {
    await pool.close();
  }
}

it('the same seed gives the same bits on this thread, on one other and on four', async () => {
  const here = await decoded(createDecodePool({ threads: 0 }));
  expect(new Set(here).size).toBe(files.length);
  expect(await decoded(createDecodePool({ threads: 1, entry }))).toEqual(here);
  expect(await decoded(createDecodePool({ threads: 4, entry }))).toEqual(here);
});

it('a thread names the file that is no image', async () => {
  const pool = createDecodePool({ threads: 1, entry });
  const path = join(folder, 'missing.jpg');
  await expect(pool.decode({ path, name: 'yes/missing.jpg', preprocessing })).rejects.toMatchObject({
    code: 'IMAGE_UNREADABLE',
    message: expect.stringContaining('missing.jpg'),
    details: { record: 'yes/missing.jpg' },
  });
  await pool.close();
});
