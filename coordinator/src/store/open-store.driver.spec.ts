/** What only the embedded store has: its directory, its lock, its one connection. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { sql } from 'kysely';

import { openStore, type Store } from './open-store.driver.js';

const directory = await mkdtemp(join(tmpdir(), 'graft store-'));
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

describe('the embedded store', () => {
  let store: Store;
  const at = join(directory, 'embedded');
  beforeAll(async () => {
    store = await openStore({ kind: 'embedded', directory: at });
  }, 120_000);
  afterAll(() => store.close());

  test('PostgreSQL in it believes in fsync', async () => {
    const settings = await sql<{ name: string; setting: string }>`select name, setting from pg_settings
      where name in ('fsync', 'full_page_writes', 'synchronous_commit', 'wal_sync_method')`.execute(store.db);
    expect(Object.fromEntries(settings.rows.map(({ name, setting }) => [name, setting]))).toEqual({
      fsync: 'on',
      full_page_writes: 'on',
      synchronous_commit: 'on',
      wal_sync_method: 'fsync',
    });
  });

  test('a second coordinator on the directory is told who holds it', async () => {
    await expect(openStore({ kind: 'embedded', directory: at })).rejects.toMatchObject({
      code: 'DIRECTORY_LOCKED',
      message: expect.stringContaining(String(process.pid)),
      details: { directory: at, pid: String(process.pid) },
    });
  });

  test('a query outside the transaction in hand fails instead of waiting for ever', async () => {
    const stuck = store.db.transaction().execute(() => sql`select 1`.execute(store.db));
    await expect(stuck).rejects.toThrow('timeout');
    expect((await sql<{ one: number }>`select 1 as one`.execute(store.db)).rows).toEqual([{ one: 1 }]);
  }, 30_000);

  test('what was stored is there after it is closed and opened again', async () => {
    await store.db.insertInto('events').values({ at_ms: 7, kind: 'kept', data: '{}' }).execute();
    await store.close();
    store = await openStore({ kind: 'embedded', directory: at });
    expect(await store.db.selectFrom('events').select(['at_ms', 'kind']).execute()).toEqual([
      { at_ms: 7, kind: 'kept' },
    ]);
  }, 120_000);
});
