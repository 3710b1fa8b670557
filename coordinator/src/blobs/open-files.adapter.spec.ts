/** Files that stay open between uses: opened once, shared, and closed when they are forgotten or fail. */
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { openFiles } from './open-files.adapter.js';

let directory: string;
beforeEach(async () => {
  directory = await fs.mkdtemp(join(tmpdir(), 'graft open-'));
});
afterEach(async () => fs.rm(directory, { recursive: true, force: true }));

/** The real files, counting those that are opened and closed. */
function counted() {
  const counts = { opened: 0, closed: 0 };
  const open: typeof fs.open = async (...args) => {
    const handle = await fs.open(...args);
    counts.opened++;
    const close = handle.close.bind(handle);
    handle.close = async () => {
      counts.closed++;
      await close();
    };
    return handle;
  };
  return { counts, files: openFiles({ open }) };
}

const byteAt = (position: number) => async (handle: fs.FileHandle) =>
  (await handle.read(new Uint8Array(1), 0, 1, position)).buffer[0];

test('a file is opened once for many uses, at the same time too', async () => {
  const { counts, files } = counted();
  const file = join(directory, 'blob');
  await fs.writeFile(file, Uint8Array.of(5, 6, 7));
  expect(await Promise.all([0, 1, 2].map(async (at) => files.use(file, 'r', byteAt(at))))).toEqual([5, 6, 7]);
  expect(await files.use(file, 'r', byteAt(1))).toBe(6);
  expect(counts).toEqual({ opened: 1, closed: 0 });
  await files.close(file);
  await files.close(file);
  expect(counts).toEqual({ opened: 1, closed: 1 });
});

test('a file that is forgotten while it is read is closed after the reading', async () => {
  const { counts, files } = counted();
  const file = join(directory, 'blob');
  await fs.writeFile(file, Uint8Array.of(5));
  const reading = files.use(file, 'r', async (handle) => {
    await files.close(file);
    expect(counts.closed).toBe(0);
    return byteAt(0)(handle);
  });
  expect(await reading).toBe(5);
  expect(counts).toEqual({ opened: 1, closed: 1 });
});

test('a file with which work failed, or that could not be opened, is opened anew', async () => {
  const { counts, files } = counted();
  const file = join(directory, 'blob');
  await expect(files.use(file, 'r', byteAt(0))).rejects.toMatchObject({ code: 'ENOENT' });
  await fs.writeFile(file, Uint8Array.of(9));
  const failing = files.use(file, 'r', async () => Promise.reject(new Error('torn')));
  await expect(failing).rejects.toThrow('torn');
  expect(counts).toEqual({ opened: 1, closed: 1 });
  expect(await files.use(file, 'r', byteAt(0))).toBe(9);
  await files.close(file);
  expect(counts).toEqual({ opened: 2, closed: 2 });
});

test('many files are not all kept open', async () => {
  const { counts, files } = counted();
  for (let index = 0; index < 40; index++) {
    const file = join(directory, String(index));
    await fs.writeFile(file, Uint8Array.of(index));
    expect(await files.use(file, 'r', byteAt(0))).toBe(index);
  }
  expect(counts.opened - counts.closed).toBeLessThanOrEqual(32);
});
