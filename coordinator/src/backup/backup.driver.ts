/**
 * Writes a backup while the coordinator runs: the rows as they are at one moment, then every blob that they name (blobs never change), then
 * the keys. `backup.json` comes last: without it the folder is no backup.
 */
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';

import type { Kysely } from 'kysely';

import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';

import { openBlobDirectory } from '../blobs/blob-directory.adapter.js';
import type { BlobStore } from '../blobs/blob-store.js';
import { writeSecret } from '../server/keys.adapter.js';
import type { Database } from '../store/schema.js';
import { backupFiles, type BackupManifest } from './backup-manifest.js';
import { namedBlobs } from './named-blobs.repository.js';
import { exportRows } from './rows.repository.js';
import { packKeys } from './sealed-keys.adapter.js';

export interface BackupSource {
  readonly db: Kysely<Database>;
  readonly blobs: Pick<BlobStore, 'has' | 'readChunk'>;
  /** Of the coordinator's keys. */
  readonly keysFolder: string;
  readonly version: string;
  readonly atMs: number;
}

/** Throws RESTORE_NOT_EMPTY where the folder holds something, DISK_FULL. */
export async function writeBackup(source: BackupSource, folder: string, passphrase?: string): Promise<BackupManifest> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  if ((await readdir(folder)).length > 0)
    throw new GraftError('RESTORE_NOT_EMPTY', `${folder} is not empty; a backup needs a folder of its own`);
  const { rows, named } = await source.db
    .transaction()
    .setIsolationLevel('repeatable read')
    .execute(async (transaction) => ({
      rows: await writeRows(join(folder, backupFiles.rows), exportRows(transaction)),
      named: await namedBlobs(transaction),
    }));
  const blobs = await copyBlobs(source.blobs, named, join(folder, backupFiles.blobs));
  await writeSecret(join(folder, backupFiles.keys), await packKeys(source.keysFolder, passphrase));
  const manifest: BackupManifest = {
    format: 1,
    version: source.version,
    createdAtMs: source.atMs,
    rows,
    blobs,
    keys: passphrase === undefined ? 'plain' : 'passphrase',
  };
  await writeSecret(join(folder, backupFiles.manifest), `${JSON.stringify(manifest, undefined, 1)}\n`);
  return manifest;
}

async function writeRows(file: string, lines: AsyncIterable<string>): Promise<BackupManifest['rows']> {
  const hash = createHash('sha256');
  let count = 0;
  async function* ended(): AsyncGenerator<string> {
    for await (const line of lines) {
      count++;
      yield `${line}\n`;
    }
  }
  const hashed = new Transform({
    transform: (piece: Buffer, _, done) => {
      hash.update(piece);
      done(undefined, piece);
    },
  });
  await pipeline(Readable.from(ended()), createGzip(), hashed, createWriteStream(file, { flags: 'wx', mode: 0o600 }));
  const handle = await open(file, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
  return { lines: count, sha256: hash.digest('hex') };
}

/** Copies what is stored of the named blobs, a chunk at a time; each is verified as it arrives. */
async function copyBlobs(
  from: BackupSource['blobs'],
  named: ReadonlySet<string>,
  folder: string,
): Promise<BackupManifest['blobs']> {
  const to = await openBlobDirectory(folder);
  const copied: { hash: string; sizeBytes: number }[] = [];
  for (const hash of [...named].sort()) {
    const sizeBytes = await from.has(hash);
    if (sizeBytes === undefined) continue;
    await copyBlob({ from, to, hash, sizeBytes });
    copied.push({ hash, sizeBytes });
  }
  return copied;
}

interface Copy {
  readonly from: Pick<BlobStore, 'readChunk'>;
  readonly to: BlobStore;
  readonly hash: string;
  readonly sizeBytes: number;
}

/** Throws BLOB_CORRUPT where what is read is not what it is called. */
export async function copyBlob({ from, to, hash, sizeBytes }: Copy): Promise<void> {
  if ((await to.has(hash)) === sizeBytes) return;
  if (sizeBytes === 0) return void (await to.put(new Uint8Array()));
  const chunks = Math.ceil(sizeBytes / limits.chunkBytes);
  for (let index = await to.partial(hash); index < chunks; index++)
    await to.appendChunk(hash, index, await from.readChunk(hash, index));
  await to.finish(hash, sizeBytes);
}
