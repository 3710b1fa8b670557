/**
 * Makes a coordinator from a backup, in an empty directory and an empty database, whatever kinds of stores the backup was made from.
 * Everything is verified before it is taken into use; the rows come in one transaction, last.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';

import { GraftError } from '@graft/core/error';

import { openBlobDirectory } from '../blobs/blob-directory.adapter.js';
import { openBlobs, type BlobsConfig } from '../blobs/open-blobs.driver.js';
import type { Config } from '../config/config.js';
import { appliedMigrations, migrate } from '../store/migrate.repository.js';
import { storeOptions, type DatabaseConfig } from '../store/open-configured.driver.js';
import { openUnmigrated, type Store } from '../store/open-store.driver.js';
import { backupFiles, backupManifestSchema, type BackupManifest } from './backup-manifest.js';
import { copyBlob } from './backup.driver.js';
import { importRows, type RowsHeader } from './rows.repository.js';
import { openKeys, unpackKeys } from './sealed-keys.adapter.js';

type RestoreConfig = DatabaseConfig & BlobsConfig & Pick<Config, 'keys'>;

export interface Restored {
  readonly manifest: BackupManifest;
  readonly rows: number;
}

/** Throws BACKUP_DAMAGED, RESTORE_NOT_EMPTY, PASSPHRASE_WRONG, SCHEMA_TOO_NEW. */
export async function restoreBackup(
  folder: string,
  directory: string,
  config: RestoreConfig,
  passphrase?: string,
): Promise<Restored> {
  const manifest = await readManifest(folder);
  const rowsFile = join(folder, backupFiles.rows);
  const sha256 = await hashOfFile(rowsFile);
  if (sha256 !== manifest.rows.sha256) throw damaged(`${rowsFile} has sha256 ${sha256}, not ${manifest.rows.sha256}`);
  const keysText = await readFile(join(folder, backupFiles.keys), 'utf8').catch((cause: unknown) => {
    throw damaged(`there is no ${backupFiles.keys} in ${folder}`, cause);
  });
  openKeys(keysText, passphrase);
  await checkEmpty(directory);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const store = await openUnmigrated(storeOptions(directory, config));
  try {
    if ((await appliedMigrations(store.db)).length > 0)
      throw new GraftError('RESTORE_NOT_EMPTY', 'the database holds a coordinator already');
    await restoreBlobs(folder, directory, { manifest, config });
    const rows = await restoreRows(store, rowsFile);
    await unpackKeys(keysText, config.keys ?? join(directory, 'keys'), passphrase);
    return { manifest, rows };
  } finally {
    await store.close();
  }
}

async function readManifest(folder: string): Promise<BackupManifest> {
  const file = join(folder, backupFiles.manifest);
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw damaged(`${folder} holds no whole backup: there is no ${backupFiles.manifest}`, cause);
  });
  try {
    return backupManifestSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw damaged(`${file} is not what a backup says of itself`, cause);
  }
}

/** Settings may lie there already; nothing else. */
async function checkEmpty(directory: string): Promise<void> {
  const found = (await readdir(directory).catch(() => [])).filter((name) => name !== 'settings.json');
  if (found.length > 0) throw new GraftError('RESTORE_NOT_EMPTY', `${directory} holds ${found.slice(0, 3).join(', ')}`);
}

async function restoreBlobs(
  folder: string,
  directory: string,
  { manifest, config }: { readonly manifest: BackupManifest; readonly config: BlobsConfig },
): Promise<void> {
  const from = await openBlobDirectory(join(folder, backupFiles.blobs));
  const { blobs: to, close } = await openBlobs(directory, config);
  try {
    for (const { hash, sizeBytes } of manifest.blobs) {
      const size = await stat(from.path(hash)).then(
        (found) => found.size,
        () => undefined,
      );
      if (size !== sizeBytes) throw damaged(`blob ${hash} has ${size ?? 'no'} bytes, not ${sizeBytes}`);
      await copyBlob({ from, to, hash, sizeBytes }).catch((cause: unknown) => {
        const isWrong = cause instanceof GraftError && cause.code === 'BLOB_CORRUPT';
        throw isWrong ? damaged(`blob ${hash} holds other bytes than its name says`, cause) : cause;
      });
    }
  } finally {
    close();
  }
}

async function restoreRows({ db }: Store, file: string): Promise<number> {
  const gunzip = createGunzip();
  const read = pipeline(createReadStream(file), gunzip);
  const lines = createInterface({ input: gunzip, crlfDelay: Infinity })[Symbol.asyncIterator]();
  const rest: AsyncIterable<string> = { [Symbol.asyncIterator]: () => lines };
  const first = await lines.next();
  const { schema } = JSON.parse(String(first.value)) as RowsHeader;
  const newest = schema.at(-1);
  if (newest === undefined) throw damaged(`${file} names no schema`);
  await migrate(db, newest);
  const count = await db.transaction().execute(async (transaction) => importRows(transaction, rest));
  await read;
  // From here on as an upgrade.
  await migrate(db);
  return count;
}

async function hashOfFile(file: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    await pipeline(createReadStream(file), hash);
  } catch (cause) {
    throw damaged(`cannot read ${file}`, cause);
  }
  return hash.digest('hex');
}

function damaged(message: string, cause?: unknown): GraftError {
  return new GraftError('BACKUP_DAMAGED', message, cause === undefined ? {} : { cause });
}
