/** A coordinator of a run in progress is backed up and made again elsewhere: on the same kind of stores, on another, and not from a damaged copy. */
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { jest } from '@jest/globals';

import { startPostgres, whyNoPostgres, type TemporaryPostgres } from '../../../test/postgres.adapter.js';
import { startS3, whyNoS3, type TemporaryS3 } from '../../../test/s3.adapter.js';
import { openBlobs } from '../blobs/open-blobs.driver.js';
import { readConfig, type Config } from '../config/config.js';
import { firstBrokenAudit } from '../store/audit.repository.js';
import { firstSchema } from '../store/migrate.contract.js';
import { storeOptions } from '../store/open-configured.driver.js';
import { openStore, type Store } from '../store/open-store.driver.js';
import { backupFiles } from './backup-manifest.js';
import { writeBackup } from './backup.driver.js';
import { namedBlobs } from './named-blobs.repository.js';
import { restoreBackup } from './restore.driver.js';

jest.setTimeout(180_000);

const fixture = fileURLToPath(new URL('../../../test/vectors/first-schema/', import.meta.url));
const root = await fs.mkdtemp(join(tmpdir(), 'graft backup-'));
const backup = join(root, 'backup');
const sealed = join(root, 'sealed');
const noPostgres = await whyNoPostgres();
const noS3 = await whyNoS3();
let postgres: TemporaryPostgres | undefined;
let s3: TemporaryS3 | undefined;

const configOf = (directory: string, environment: Record<string, string> = {}): Config =>
  readConfig(['--dir', directory], environment);

async function contents({ db }: Store): Promise<object> {
  const tables = [
    'runs',
    'rounds',
    'updates',
    'checkpoints',
    'audit',
    'events',
    'agents',
    'outbox',
    'instructions',
  ] as const;
  const all = await Promise.all(
    tables.map(async (table) => [table, await db.selectFrom(table).selectAll().execute()] as const),
  );
  return Object.fromEntries(all.map(([table, rows]) => [table, rows.map((row) => JSON.stringify(row)).sort()]));
}

let before: object;
let named: string[];

beforeAll(async () => {
  const home = join(root, 'home');
  const options = { kind: 'embedded', directory: home } as const;
  await firstSchema(options);
  await fs.cp(join(fixture, 'blobs'), join(home, 'blobs'), { recursive: true });
  await fs.cp(join(fixture, 'keys'), join(home, 'keys'), { recursive: true });
  const store = await openStore(options);
  const { blobs } = await openBlobs(home, configOf(home));
  const source = { db: store.db, blobs, keysFolder: join(home, 'keys'), version: '0.1.0', atMs: 1 };
  await writeBackup(source, backup);
  await writeBackup(source, sealed, 'a horse, a battery');
  before = await contents(store);
  named = [...(await namedBlobs(store.db))];
  await store.close();
});

afterAll(async () => {
  await postgres?.stop();
  await s3?.stop();
  await fs.rm(root, { recursive: true, force: true });
});

async function restoredTo(directory: string, config: Config): Promise<void> {
  await restoreBackup(backup, directory, config);
  const store = await openStore(storeOptions(directory, config));
  try {
    expect(await contents(store)).toEqual(before);
    expect(await firstBrokenAudit(store.db)).toBeUndefined();
    const { seq } = await store.db
      .insertInto('events')
      .values({ at_ms: 1, kind: 'tested', data: '{}' })
      .returning('seq')
      .executeTakeFirstOrThrow();
    expect(seq).toBeGreaterThan(13);
    const { blobs, close } = await openBlobs(directory, config);
    const manifest = JSON.parse(await fs.readFile(join(backup, backupFiles.manifest), 'utf8')) as {
      blobs: { hash: string; sizeBytes: number }[];
    };
    expect(manifest.blobs.length).toBeGreaterThan(5);
    for (const { hash, sizeBytes } of manifest.blobs) {
      expect(named).toContain(hash);
      expect(await blobs.has(hash)).toBe(sizeBytes);
    }
    close();
  } finally {
    await store.close();
  }
  const key = join('keys', 'master.key');
  expect(await fs.readFile(join(directory, key), 'utf8')).toBe(await fs.readFile(join(fixture, key), 'utf8'));
}

test('a backup becomes the same coordinator in an empty directory', async () => {
  const directory = join(root, 'again');
  await restoredTo(directory, configOf(directory));
  await expect(restoreBackup(backup, directory, configOf(directory))).rejects.toMatchObject({
    code: 'RESTORE_NOT_EMPTY',
  });
});

const missing = noPostgres ?? noS3;
(missing === undefined ? test : test.skip)(
  `an embedded coordinator moves to PostgreSQL and a bucket ${missing ?? ''}`,
  async () => {
    postgres = await startPostgres();
    s3 = await startS3();
    const directory = join(root, 'moved');
    const config = configOf(directory, {
      GRAFT_DB: await postgres.createDatabase(),
      GRAFT_BLOBS: `s3://${await s3.createBucket()}`,
      GRAFT_BLOBS_ENDPOINT: s3.endpoint,
      GRAFT_BLOBS_ACCESS_KEY: s3.accessKeyId,
      GRAFT_BLOBS_SECRET_KEY: s3.secretAccessKey,
    });
    await restoredTo(directory, config);
  },
);

test('keys under a passphrase open with it alone', async () => {
  expect(await fs.readFile(join(sealed, backupFiles.keys), 'utf8')).not.toContain('master.key');
  const directory = join(root, 'opened');
  const config = configOf(directory);
  await expect(restoreBackup(sealed, directory, config)).rejects.toMatchObject({ code: 'PASSPHRASE_WRONG' });
  await expect(restoreBackup(sealed, directory, config, 'a guess')).rejects.toMatchObject({ code: 'PASSPHRASE_WRONG' });
  await expect(fs.readdir(directory)).rejects.toMatchObject({ code: 'ENOENT' });
});

test.each([
  ['rows', backupFiles.rows, /rows\.jsonl\.gz has sha256/],
  ['a blob', undefined, /blob [0-9a-f]{64} holds other bytes/],
  ['its own description', backupFiles.manifest, /is not what a backup says of itself/],
])('a backup with another byte in %s is refused', async (_, name, message) => {
  const copy = await fs.mkdtemp(join(root, 'damaged-'));
  await fs.cp(backup, copy, { recursive: true });
  const manifest = JSON.parse(await fs.readFile(join(copy, backupFiles.manifest), 'utf8')) as {
    blobs: { hash: string }[];
  };
  const hash = manifest.blobs[0]?.hash ?? '';
  const file = join(copy, name ?? join(backupFiles.blobs, hash.slice(0, 2), hash));
  const bytes = await fs.readFile(file);
  bytes[0] = (bytes[0] ?? 0) ^ 1;
  await fs.writeFile(file, bytes);
  const directory = join(copy, 'home');
  await expect(restoreBackup(copy, directory, configOf(directory))).rejects.toMatchObject({
    code: 'BACKUP_DAMAGED',
    message: expect.stringMatching(message),
  });
});
