/**
 * Backup and restore beside the coordinator: `backup FOLDER` of a PostgreSQL database at any time, of an embedded one while no coordinator
 * has it; `restore FOLDER`. The options are those of the coordinator. Answers one line of JSON.
 */
import { join, resolve } from 'node:path';

import { GraftError } from '@graft/core/error';

import { openBlobs } from '../blobs/open-blobs.driver.js';
import { readConfig } from '../config/config.js';
import { withVariableFiles } from '../config/variable-files.adapter.js';
import { openStore } from '../store/open-store.driver.js';
import { storeOptions } from '../store/open-configured.driver.js';
import { version } from '../server/version.js';
import { writeBackup } from './backup.driver.js';
import { restoreBackup } from './restore.driver.js';

async function work(): Promise<object> {
  const [command, folder = '', ...options] = process.argv.slice(2);
  const environment = withVariableFiles(process.env);
  const config = readConfig(options, environment);
  const directory = resolve(config.dir);
  const passphrase = environment['GRAFT_PASSPHRASE'];
  if (command === 'restore') {
    const { manifest, rows } = await restoreBackup(resolve(folder), directory, config, passphrase);
    return { rows, blobs: manifest.blobs.length, createdAtMs: manifest.createdAtMs, version: manifest.version };
  }
  if (command !== 'backup')
    throw new GraftError('INVALID_REQUEST', `there is no command '${command ?? ''}'; there are backup and restore`);
  const store = await openStore(storeOptions(directory, config));
  try {
    const { blobs, close } = await openBlobs(directory, config);
    try {
      const source = {
        db: store.db,
        blobs,
        keysFolder: config.keys ?? join(directory, 'keys'),
        version,
        atMs: Date.now(),
      };
      const manifest = await writeBackup(source, resolve(folder), passphrase);
      const sizeBytes = manifest.blobs.reduce((sum, blob) => sum + blob.sizeBytes, 0);
      return { folder: resolve(folder), blobs: manifest.blobs.length, sizeBytes, keys: manifest.keys };
    } finally {
      close();
    }
  } finally {
    await store.close();
  }
}

try {
  process.stdout.write(`${JSON.stringify(await work())}\n`);
} catch (error) {
  const known =
    error instanceof GraftError
      ? error
      : new GraftError('INTERNAL', String(error instanceof Error ? error.stack : error));
  process.stderr.write(`${JSON.stringify({ code: known.code, message: known.message })}\n`);
  process.exitCode = known.row.exit;
}
