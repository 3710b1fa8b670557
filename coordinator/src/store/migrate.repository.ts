/** Brings a database to the newest schema; migrations only go forward. */
import { Migrator, type Kysely, type Migration } from 'kysely';

import { tables } from './migrations/001-tables.js';
import { replicas } from './migrations/003-replicas.js';
import type { Database } from './schema.js';

/** In order of their names. */
const migrations: Readonly<Record<string, Migration>> = { '001-tables': tables, '003-replicas': replicas };

export async function migrate(db: Kysely<Database>): Promise<void> {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => ({ ...migrations }) } });
  const { error } = await migrator.migrateToLatest();
  if (error !== undefined) throw error;
}
