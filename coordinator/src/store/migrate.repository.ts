/** Brings a database to the newest schema; migrations only go forward. */
import { Migrator, sql, type Kysely, type Migration } from 'kysely';

import { GraftError } from '@graft/core/error';

import { tables } from './migrations/001-tables.js';
import { stores } from './migrations/002-stores.js';
import { replicas } from './migrations/003-replicas.js';
import { policies } from './migrations/004-policies.js';
import { transfers } from './migrations/006-transfers.js';
import { quarantine } from './migrations/007-quarantine.js';
import { steering } from './migrations/008-steering.js';
import type { Database } from './schema.js';

/** In order of their names. */
const migrations: Readonly<Record<string, Migration>> = {
  '001-tables': tables,
  '002-stores': stores,
  '003-replicas': replicas,
  '004-policies': policies,
  '006-transfers': transfers,
  '007-quarantine': quarantine,
  '008-steering': steering,
};

/** What this program knows, in order. */
export const schemaVersions: readonly string[] = Object.keys(migrations);

/** Any number that nothing else in the database locks. */
const lockKey = 4_718_001;

/**
 * Two replicas that start at once: one migrates, the other waits and finds it done. A migration that fails leaves what was there.
 * Throws SCHEMA_TOO_NEW where a newer program has been here.
 */
export async function migrate(db: Kysely<Database>, upTo?: string): Promise<void> {
  await db.connection().execute(async (connection) => {
    // Waiting for another replica, and rewriting a large table, take their time.
    await sql`set statement_timeout = 0`.execute(connection);
    await sql`select pg_advisory_lock(${lockKey})`.execute(connection);
    try {
      await refuseNewer(connection);
      const provider = { getMigrations: async () => ({ ...migrations }) };
      // Unordered: databases of the development of one version may have any of its migrations.
      const migrator = new Migrator({ db: connection, provider, allowUnorderedMigrations: true });
      const { error } = await (upTo === undefined ? migrator.migrateToLatest() : migrator.migrateTo(upTo));
      if (error !== undefined) throw error;
    } finally {
      await sql`select pg_advisory_unlock(${lockKey})`.execute(connection);
      await sql`reset statement_timeout`.execute(connection);
    }
  });
}

/** The migrations that a database has had; none where it is new. */
export async function appliedMigrations(db: Kysely<Database>): Promise<string[]> {
  const { rows } = await sql<{ there: boolean }>`select to_regclass('kysely_migration') is not null as there`.execute(
    db,
  );
  if (rows[0]?.there !== true) return [];
  const applied = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(db);
  return applied.rows.map(({ name }) => name);
}

async function refuseNewer(db: Kysely<Database>): Promise<void> {
  const unknown = (await appliedMigrations(db)).filter((name) => !(name in migrations));
  if (unknown.length === 0) return;
  throw new GraftError(
    'SCHEMA_TOO_NEW',
    `the database has schema ${unknown.join(', ')}; this program knows up to ${schemaVersions.at(-1)}`,
  );
}
