/**
 * Power cuts, simulated: a second disk beside the real one holds only what PostgreSQL has synced. After each sync of a file it has the
 * file's bytes and name, after each sync of a folder the names in it; what was written since is gone. (A sync that makes a file's own
 * name last is what Linux file systems do, and what PostgreSQL relies on.)
 */
import { copyFileSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';

import { PGlite } from '@electric-sql/pglite';

import { random } from '@graft/core/random';

import { DurableNodeFS, openDurablePglite } from './durable-node-fs.adapter.js';

const root = await mkdtemp(join(tmpdir(), 'graft power-'));
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

interface SyncedDisk {
  /** Tells it of a sync. */
  readonly synced: (path: string) => void;
  /** A folder as it would be found after a power cut now. */
  cut(): Promise<string>;
  syncs(): number;
}

/** The disk behind `directory`, on which everything in it lies safe already. */
async function syncedDisk(directory: string, to: string): Promise<SyncedDisk> {
  let syncs = 0;
  let cuts = 0;
  /** Bytes by file, whatever its name is by now: a copy as of its last sync. */
  const copies = new Map<string, string>();
  /** Names that last, and the file that each leads to. */
  const names = new Map<string, string | undefined>();
  await mkdir(to);
  const fileAt = (path: string): string => {
    const { ino, birthtimeMs } = statSync(path);
    return `${ino}-${birthtimeMs}`;
  };
  const keep = (path: string): void => {
    const file = fileAt(path);
    const copy = join(to, file);
    copyFileSync(path, copy);
    copies.set(file, copy);
    names.set(relative(directory, path), file);
  };
  const keepNames = (folder: string): void => {
    const within = relative(directory, folder);
    for (const name of names.keys()) if (dirname(name) === (within || '.')) names.delete(name);
    names.set(within, undefined);
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      names.set(relative(directory, path), entry.isDirectory() ? undefined : fileAt(path));
    }
  };
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isDirectory()) names.set(relative(directory, path), undefined);
    else keep(path);
  }
  return {
    syncs: () => syncs,
    synced: (path) => {
      syncs++;
      if (statSync(path).isDirectory()) keepNames(path);
      else keep(path);
    },
    cut: async () => {
      const found = `${to}-cut-${++cuts}`;
      for (const [name, file] of names) {
        const path = join(found, name);
        mkdirSync(file === undefined ? path : dirname(path), { recursive: true });
        const copy = file === undefined ? undefined : copies.get(file);
        // A name whose bytes were never synced leads to an empty file.
        if (file !== undefined) await cp(copy ?? '/dev/null', path);
      }
      return found;
    },
  };
}

const fresh = join(root, 'fresh');
beforeAll(async () => {
  const pglite = await openDurablePglite(fresh);
  await pglite.exec('create table acknowledged (id int primary key, filler text)');
  await pglite.close();
}, 120_000);

/** A copy of the fresh database, and its synced disk. */
async function newDatabase(name: string): Promise<{ directory: string; disk: SyncedDisk }> {
  const directory = join(root, name);
  await cp(fresh, directory, { recursive: true });
  return { directory, disk: await syncedDisk(directory, join(root, `${name}-disk`)) };
}

async function watchedDatabase(name: string): Promise<{ pglite: PGlite; disk: SyncedDisk }> {
  const { directory, disk } = await newDatabase(name);
  return { pglite: await openDurablePglite(directory, { onSync: disk.synced }), disk };
}

async function rowsAfter(cut: string): Promise<number[]> {
  const found = await openDurablePglite(cut);
  const { rows } = await found.query<{ id: number }>('select id from acknowledged order by id');
  // The index agrees with the table.
  for (const { id } of rows.slice(-3)) {
    expect((await found.query('select 1 from acknowledged where id = $1', [id])).rows).toHaveLength(1);
  }
  await found.close();
  await rm(cut, { recursive: true, force: true });
  return rows.map(({ id }) => id);
}

test('every commit is synced before it is acknowledged, and reading syncs nothing', async () => {
  const { pglite, disk } = await watchedDatabase('counted');
  for (let id = 0; id < 10; id++) {
    const before = disk.syncs();
    await pglite.query('insert into acknowledged values ($1)', [id]);
    expect(disk.syncs()).toBeGreaterThan(before);
  }
  const before = disk.syncs();
  await pglite.query('select count(*) from acknowledged');
  expect(disk.syncs()).toBe(before);
  await pglite.close();
}, 120_000);

test('no acknowledged row is lost in a power cut, whenever it comes', async () => {
  const seed = 20;
  const dice = random(seed);
  const { pglite, disk } = await watchedDatabase('cut');
  const cuts: { readonly at: string; readonly acknowledged: number }[] = [];
  let id = 0;
  for (let turn = 0; turn < 6; turn++) {
    for (const until = id + 1 + Math.floor(dice.next() * 60); id < until; id++) {
      await pglite.query('insert into acknowledged values ($1, $2)', [id, 'x'.repeat(Math.floor(dice.next() * 4_000))]);
    }
    // Checkpoints write the tables themselves, recycle the log and rename files.
    if (turn % 2 === 1) for (const statement of ['checkpoint', 'vacuum acknowledged']) await pglite.query(statement);
    if (turn === 4)
      await pglite.exec('create index on acknowledged (filler); alter table acknowledged add column extra int');
    cuts.push({ at: await disk.cut(), acknowledged: id });
  }
  await pglite.close();
  for (const { at, acknowledged } of cuts) {
    expect(await rowsAfter(at)).toEqual(Array.from({ length: acknowledged }, (_, i) => i));
  }
}, 300_000);

test('a power cut amid a transaction leaves none of it, and all before it', async () => {
  const { pglite, disk } = await watchedDatabase('amid');
  await pglite.query('insert into acknowledged values (0)');
  let cut = '';
  await pglite.transaction(async (transaction) => {
    await transaction.query('insert into acknowledged select n from generate_series(1, 1000) n');
    cut = await disk.cut();
  });
  const after = await disk.cut();
  await pglite.close();
  expect(await rowsAfter(cut)).toEqual([0]);
  expect(await rowsAfter(after)).toHaveLength(1001);
}, 300_000);

test('with the start parameters of PGlite, which turn fsync off, acknowledged rows are lost: the simulation can tell', async () => {
  const { directory, disk } = await newDatabase('stock');
  const pglite = await PGlite.create({ fs: new DurableNodeFS(directory, disk.synced) });
  await pglite.query('insert into acknowledged values (1)');
  const cut = await disk.cut();
  await pglite.close();
  expect(await rowsAfter(cut)).toEqual([]);
}, 120_000);
