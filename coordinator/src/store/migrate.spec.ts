/** Migrations on the embedded database, and on PostgreSQL where there is one. */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { startPostgres, whyNoPostgres, type TemporaryPostgres } from '../../../test/postgres.adapter.js';
import { appliedMigrations, schemaVersions } from './migrate.repository.js';
import { migrationContract } from './migrate.contract.js';
import { openStore, openUnmigrated } from './open-store.driver.js';

const missing = await whyNoPostgres();
const directories: string[] = [];
let server: TemporaryPostgres | undefined;

afterAll(async () => {
  await server?.stop();
  for (const directory of directories) await rm(directory, { recursive: true, force: true });
});

const newUrl = async (): Promise<string> => (server ??= await startPostgres()).createDatabase();

const newDirectory = async (): Promise<string> => {
  const directory = await mkdtemp(join(tmpdir(), 'graft migrate-'));
  directories.push(directory);
  return directory;
};

describe('migrations of the embedded database', () => {
  /** Making an empty database is most of the time that these tests take. */
  let empty: string;
  beforeAll(async () => {
    empty = await newDirectory();
    await (await openUnmigrated({ kind: 'embedded', directory: empty })).close();
  });

  migrationContract(async () => {
    const directory = await newDirectory();
    await cp(empty, directory, { recursive: true });
    return { kind: 'embedded', directory };
  });
});

if (missing === undefined) {
  describe('migrations of PostgreSQL', () => {
    migrationContract(async () => ({ kind: 'postgres', url: await newUrl() }));

    test('replicas that start at once on a new database all come up', async () => {
      const url = await newUrl();
      const stores = await Promise.all(Array.from({ length: 3 }, async () => openStore({ kind: 'postgres', url })));
      for (const store of stores) {
        expect(await appliedMigrations(store.db)).toEqual(schemaVersions);
        await store.close();
      }
    });
  });
} else {
  process.stderr.write(`Skipped: migrating PostgreSQL. ${missing}. GRAFT_REQUIRE_POSTGRES=1 makes this a failure.\n`);
  test(`migrating PostgreSQL is skipped: ${missing}`, () => {
    expect(process.env['GRAFT_REQUIRE_POSTGRES']).not.toBe('1');
  });
}
