/** What bringing a database of an older version up to date keeps, on any database. The database: test/vectors/first-schema. */
import { readFile } from 'node:fs/promises';

import { jest } from '@jest/globals';
import { sql } from 'kysely';

import { appendAudit, firstBrokenAudit } from './audit.repository.js';
import { appliedMigrations, migrate, schemaVersions } from './migrate.repository.js';
import { openStore, openUnmigrated, type Store, type StoreOptions } from './open-store.driver.js';
import { inTransaction } from './transaction.js';

jest.setTimeout(120_000);

const dump = new URL('../../../test/vectors/first-schema/database.sql', import.meta.url);

/** A database as the first version left it, and how to open it. */
export async function firstSchema(options: StoreOptions): Promise<void> {
  const store = await openUnmigrated(options);
  try {
    await sql.raw(await readFile(dump, 'utf8')).execute(store.db);
  } finally {
    await store.close();
  }
}

/** @param fresh answers an empty database of its own */
export function migrationContract(fresh: () => Promise<StoreOptions>): void {
  const opened: Store[] = [];
  const keep = (store: Store): Store => {
    opened.push(store);
    return store;
  };
  afterEach(async () => {
    for (const store of opened.splice(0)) await store.close();
  });

  test('a database of the first version is brought to the newest, with everything in it', async () => {
    const options = await fresh();
    await firstSchema(options);
    const { db } = keep(await openStore(options));
    expect(await appliedMigrations(db)).toEqual(schemaVersions);
    const run = await db.selectFrom('runs').selectAll().executeTakeFirstOrThrow();
    expect(run).toMatchObject({
      open: true,
      state: { machine: { phase: 'training', plan: { policy: { kind: 'synchronous' } }, carried: {} } },
    });
    const rounds = await db.selectFrom('rounds').select(['round', 'phase']).orderBy('round').execute();
    expect(rounds.map(({ phase }) => phase)).toEqual(['committed', 'committed', 'training']);
    expect(await firstBrokenAudit(db)).toBeUndefined();
    await inTransaction(db, async (transaction) =>
      appendAudit(transaction, { atMs: 1, action: 'tested', details: {} }),
    );
    expect(await firstBrokenAudit(db)).toBeUndefined();
  });

  test('a database that a newer version has had is refused, and stays as it is', async () => {
    const options = await fresh();
    const store = await openStore(options);
    await sql`insert into kysely_migration values ('999-of-tomorrow', '2030')`.execute(store.db);
    await store.close();
    await expect(openStore(options)).rejects.toMatchObject({
      code: 'SCHEMA_TOO_NEW',
      message: expect.stringMatching(/has schema 999-of-tomorrow; this program knows up to \d{3}-/),
    });
    const { db } = keep(await openUnmigrated(options));
    expect((await appliedMigrations(db)).at(-1)).toBe('999-of-tomorrow');
  });

  test('several that migrate at once do it once', async () => {
    const { db } = keep(await openUnmigrated(await fresh()));
    await Promise.all(Array.from({ length: 4 }, async () => migrate(db)));
    expect(await appliedMigrations(db)).toEqual(schemaVersions);
  });
}
