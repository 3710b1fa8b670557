/** The contract on a directory, and what only a disk can do: run full, tear a chunk, be killed between two calls. */
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { limits } from '@graft/core/limits';

import { openBlobDirectory, type BlobFiles } from './blob-directory.adapter.js';
import { blobStoreContract, chunkOf, hashOf, sampleBytes, send } from './blob-store.contract.js';

const { chunkBytes } = limits;
const directories: string[] = [];

async function newDirectory(): Promise<string> {
  const directory = await fs.mkdtemp(join(tmpdir(), 'graft blobs-'));
  directories.push(directory);
  return directory;
}

afterAll(async () => {
  for (const directory of directories) await fs.rm(directory, { recursive: true, force: true });
});

blobStoreContract('a directory', async () => openBlobDirectory(await newDirectory()));

interface FailingFiles {
  readonly files: BlobFiles;
  /** Calls that change something, so far. */
  calls(): number;
  /** The n-th such call from now fails; 0 is the next one. */
  failAt(nth: number, failure: { readonly code: string; readonly goesOn: boolean }): void;
  heal(): void;
  /** What was called, in order. */
  readonly log: string[];
}

/** The real file system whose n-th change fails: with `goesOn` all after it too, as on a full disk. */
function failingFiles(): FailingFiles {
  const log: string[] = [];
  let at: { nth: number; code: string; goesOn: boolean } | undefined;
  const check = (name: string): void => {
    log.push(name);
    if (at === undefined) return;
    const isNow = at.goesOn ? log.length > at.nth : log.length === at.nth + 1;
    if (isNow) throw Object.assign(new Error(`${at.code}: injected in ${name}`), { code: at.code });
  };
  const handle = (real: fs.FileHandle): fs.FileHandle =>
    new Proxy(real, {
      get: (target, property) => {
        const value: unknown = Reflect.get(target, property);
        if (typeof value !== 'function') return value;
        return async (...args: unknown[]) => {
          if (property === 'write' || property === 'writeFile') {
            // A full disk takes a part first.
            if (at !== undefined && log.length >= at.nth)
              await target.write(new Uint8Array(100), 0, 100, Number(args[3] ?? 0));
            check(property);
          } else if (property === 'sync' || property === 'truncate') check(property);
          return Reflect.apply(value, target, args) as unknown;
        };
      },
    });
  const files: BlobFiles = {
    ...fs,
    mkdir: (async (...args: Parameters<typeof fs.mkdir>) => {
      check('mkdir');
      return fs.mkdir(...args);
    }) as typeof fs.mkdir,
    open: async (...args) => {
      if (args[1] !== 'r') check('open');
      return handle(await fs.open(...args));
    },
    rename: async (...args) => {
      check('rename');
      return fs.rename(...args);
    },
  };
  return {
    files,
    log,
    calls: () => log.length,
    failAt: (nth, { code, goesOn }) => (at = { nth: log.length + nth, code, goesOn }),
    heal: () => (at = undefined),
  };
}

const codeOf = (error: unknown): string => String(Object(error).code);

const bytes = sampleBytes(2 * chunkBytes + 33);
const hash = hashOf(bytes);

describe('a disk that runs full', () => {
  test.each(['ENOSPC', 'EDQUOT'])('%s at any call while a blob is received costs at most one chunk', async (code) => {
    let changes = 0;
    for (let nth = 0, reached = true; reached; nth++) {
      const failing = failingFiles();
      const store = await openBlobDirectory(await newDirectory(), failing.files);
      const before = failing.calls();
      failing.failAt(nth, { code, goesOn: true });
      const acknowledged = { chunks: 0 };
      const receive = async (): Promise<string> => {
        for (let index = 0; index < 3; index++) {
          await store.appendChunk(hash, index, chunkOf(bytes, index));
          acknowledged.chunks++;
        }
        await store.finish(hash, bytes.byteLength);
        return 'stored';
      };
      const outcome = await receive().catch(codeOf);
      reached = failing.calls() > before + nth;
      expect(outcome).toBe(reached ? 'DISK_FULL' : 'stored');
      failing.heal();
      // The third chunk is shorter than a chunk: it is sent again where the blob was not finished.
      const kept = (await store.has(hash)) === undefined ? await store.partial(hash) : 3;
      expect(kept).toBeGreaterThanOrEqual(Math.min(2, acknowledged.chunks));
      await send(store, bytes);
      await store.finish(hash, bytes.byteLength);
      expect(hashOf(await store.read(hash))).toBe(hash);
      changes = nth;
    }
    // open and three writes; sync, mkdir, rename and two syncs.
    expect(changes).toBe(9);
  });

  test('ENOSPC at any call of put leaves no blob and no rubbish, and the next put succeeds', async () => {
    let changes = 0;
    for (let nth = 0, reached = true; reached; nth++) {
      const failing = failingFiles();
      const directory = await newDirectory();
      const store = await openBlobDirectory(directory, failing.files);
      const before = failing.calls();
      failing.failAt(nth, { code: 'ENOSPC', goesOn: false });
      const outcome = await store.put(bytes).then(() => 'stored', codeOf);
      reached = failing.calls() > before + nth;
      expect(outcome).toBe(reached ? 'DISK_FULL' : 'stored');
      expect(await fs.readdir(join(directory, 'partial'))).toEqual([]);
      failing.heal();
      await store.put(bytes);
      expect(hashOf(await store.read(hash))).toBe(hash);
      changes = nth;
    }
    expect(changes).toBe(7);
  });

  test('another failure of the disk is not called a full disk', async () => {
    const failing = failingFiles();
    const store = await openBlobDirectory(await newDirectory(), failing.files);
    failing.failAt(0, { code: 'EIO', goesOn: true });
    await expect(store.put(bytes)).rejects.toMatchObject({ code: 'EIO' });
    await expect(store.appendChunk(hash, 0, chunkOf(bytes, 0))).rejects.toMatchObject({ code: 'EIO' });
  });
});

describe('a blob that is being received', () => {
  test('a chunk that a crash cut short is cut and sent again', async () => {
    const directory = await newDirectory();
    const first = await openBlobDirectory(directory);
    await send(first, bytes, 2);
    await fs.truncate(join(directory, 'partial', hash), chunkBytes + 1234);
    const second = await openBlobDirectory(directory);
    expect(await second.partial(hash)).toBe(1);
    await send(second, bytes);
    expect(await second.finish(hash, bytes.byteLength)).toEqual({ hash, sizeBytes: bytes.byteLength });
  });

  test('its bytes, its name and its folder are synced, in this order, before it is called stored', async () => {
    const failing = failingFiles();
    const store = await openBlobDirectory(await newDirectory(), failing.files);
    await send(store, bytes);
    const from = failing.log.length;
    await store.finish(hash, bytes.byteLength);
    expect(failing.log.slice(from)).toEqual(['sync', 'mkdir', 'rename', 'sync', 'sync']);
  });

  test('hashing a large one lets others run', async () => {
    const large = sampleBytes(48 * chunkBytes);
    const store = await openBlobDirectory(await newDirectory());
    await send(store, large);
    let turns = 0;
    const ticking = setInterval(() => turns++, 0);
    await store.finish(hashOf(large), large.byteLength);
    clearInterval(ticking);
    expect(turns).toBeGreaterThan(20);
  });
});

test('files are readable by their owner only', async () => {
  const directory = await newDirectory();
  const store = await openBlobDirectory(directory);
  await store.put(bytes);
  await send(store, sampleBytes(9));
  for (const file of [store.path(hash), join(directory, 'partial', hashOf(sampleBytes(9)))]) {
    expect((await fs.stat(file)).mode & 0o077).toBe(0);
  }
});
