/** `graft backup`, `graft restore`, `graft gc`: what keeps a coordinator, and what makes it small again. */
import { execFile } from 'node:child_process';
import { cp, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';

import type { Command } from 'commander';
import { z } from 'zod';

import { errorCatalogue, GraftError, type ErrorCode } from '@graft/core/error';

import { bytes, timestamp } from '../output/format.js';
import { programs } from '../processes/child.driver.js';
import {
  coordinatorArguments,
  defaultSettings,
  readSettings,
  runningCoordinator,
  writeSettings,
  type Settings,
} from '../processes/coordinator.driver.js';
import { action, connect, coordinatorDirectory } from './context.driver.js';

const backupSchema = z.object({
  folder: z.string(),
  blobs: z.number(),
  sizeBytes: z.number(),
  keys: z.enum(['plain', 'passphrase']),
});
type Backup = z.infer<typeof backupSchema>;

const restoredSchema = z.object({ rows: z.number(), blobs: z.number(), createdAtMs: z.number(), version: z.string() });

interface Sweep {
  readonly rows?: Readonly<Record<string, number>>;
  readonly blobs: number;
  readonly sizeBytes: number;
  readonly keptBlobs: number;
  readonly keptBytes: number;
}

interface RestoreOptions extends SecretOptions {
  readonly db?: string;
  readonly blobs?: string;
  readonly blobsEndpoint?: string;
  readonly blobsRegion?: string;
}

interface SecretOptions {
  readonly passphraseFile?: string;
}

const secretLine =
  'the keys in it are not encrypted: whoever reads the backup can be this coordinator; keep it where you keep secrets';

export function registerBackup(program: Command): void {
  program
    .command('backup')
    .argument('<folder>', 'an empty folder, or one that is not there yet')
    .description('write database, blobs and keys of a coordinator into a folder, while it runs or not')
    .option('--passphrase-file <file>', 'encrypts the keys with what is in this file')
    .addHelpText(
      'after',
      '\nExample:\n  graft backup /backups/monday --dir hub --passphrase-file /etc/graft/passphrase',
    )
    .action(
      action<SecretOptions>(async ({ options, args, output }) => {
        const folder = resolve(args[0] ?? '');
        await checkEmpty(folder);
        const directory = coordinatorDirectory(options);
        const passphrase = await passphraseOf(options);
        output.progress(`writing a backup to ${folder}`);
        const isRemote = options.api !== undefined || process.env['GRAFT_API'] !== undefined;
        const running = isRemote ? undefined : await runningCoordinator(directory);
        if (isRemote)
          throw new GraftError(
            'INVALID_REQUEST',
            'a backup is written on the machine of the coordinator: give --dir there',
          );
        const made =
          running === undefined
            ? await beside(directory, ['backup', folder], { settings: await settingsOf(directory), passphrase })
            : await through(await connect(options), folder, passphrase);
        const backup = backupSchema.parse(made);
        output.result({ ...backup, folder }, [
          `backup written to ${folder}: database, ${backup.blobs} blobs of ${bytes(backup.sizeBytes)}, keys`,
          backup.keys === 'plain' ? secretLine : 'the keys in it are encrypted; without the passphrase it is of no use',
          `restore it with: graft restore ${folder} --dir NEW_DIRECTORY`,
        ]);
      }),
    );
  registerRestore(program);
  registerSweep(program);
}

function registerRestore(program: Command): void {
  program
    .command('restore')
    .argument('<folder>', 'a backup')
    .description('make a coordinator from a backup, in an empty directory and an empty database')
    .option('--passphrase-file <file>', 'what the keys were encrypted with')
    .option('--db <url>', 'into a PostgreSQL database; without it into the embedded one')
    .option('--blobs <place>', 's3://BUCKET/PREFIX; without it into the directory')
    .option('--blobs-endpoint <url>', 'an S3 server other than Amazon’s')
    .option('--blobs-region <region>', 'region of the bucket')
    .action(
      action<RestoreOptions>(async ({ options, args, output }) => {
        const folder = resolve(args[0] ?? '');
        const directory = coordinatorDirectory(options);
        const settings: Settings = {
          ...((await readSettings(directory)) ?? defaultSettings),
          ...(options.db !== undefined && { database: options.db }),
          ...(options.blobs !== undefined && { blobs: options.blobs }),
          ...(options.blobsEndpoint !== undefined && { blobsEndpoint: options.blobsEndpoint }),
          ...(options.blobsRegion !== undefined && { blobsRegion: options.blobsRegion }),
        };
        const passphrase = await passphraseOf(options);
        output.progress(`restoring ${folder}`);
        const restored = restoredSchema.parse(await beside(directory, ['restore', folder], { settings, passphrase }));
        await writeSettings(directory, settings);
        output.result({ ...restored, directory }, [
          `restored ${restored.rows} rows and ${restored.blobs} blobs of ${timestamp(restored.createdAtMs)} into ${directory}`,
          'what happened after the backup is not in it: rounds since then are run again',
          `next: graft up --dir ${directory}; agents find it by its address and its keys`,
        ]);
      }),
    );
}

function registerSweep(program: Command): void {
  program
    .command('gc')
    .description('remove old rows, and blobs that nothing names any more; the coordinator does so by itself too')
    .option('--dry-run', 'say what would be removed, and remove nothing')
    .action(
      action<{ dryRun?: boolean }>(async ({ options, output }) => {
        const dryRun = options.dryRun ?? false;
        const swept = await (await connect(options)).post<Sweep>('/sweeps', { dryRun });
        const rows = Object.entries(swept.rows ?? {}).filter(([, count]) => count > 0);
        output.result(swept, [
          `${dryRun ? 'would remove' : 'removed'} ${swept.blobs} blobs of ${bytes(swept.sizeBytes)}; ${swept.keptBlobs} of ${bytes(swept.keptBytes)} stay`,
          ...(rows.length === 0 ? [] : [`rows: ${rows.map(([table, count]) => `${count} ${table}`).join(', ')}`]),
        ]);
      }),
    );
}

const settingsOf = async (directory: string): Promise<Settings> => (await readSettings(directory)) ?? defaultSettings;

async function checkEmpty(folder: string): Promise<void> {
  const found = await readdir(folder).catch(() => []);
  if (found.length > 0)
    throw new GraftError(
      'RESTORE_NOT_EMPTY',
      `${folder} holds ${found.length} files; a backup needs a folder of its own`,
    );
}

async function passphraseOf({ passphraseFile }: SecretOptions): Promise<string | undefined> {
  if (passphraseFile === undefined) return undefined;
  const text = await readFile(passphraseFile, 'utf8').catch((cause: unknown) => {
    throw new GraftError('DATA_NOT_FOUND', `cannot read ${passphraseFile}`, { cause });
  });
  if (text.trim().length < 8)
    throw new GraftError('INVALID_REQUEST', `${passphraseFile} holds fewer than 8 characters`);
  return text.trim();
}

/** By the coordinator that runs, into its own directory, and from there to the folder. */
async function through(
  api: Awaited<ReturnType<typeof connect>>,
  folder: string,
  passphrase: string | undefined,
): Promise<Backup> {
  const name = `${basename(folder)
    .replaceAll(/[^\w-]/gu, '-')
    .slice(0, 40)}-${Date.now()}`;
  const made = backupSchema.parse(
    await api.post('/backups', { name, ...(passphrase !== undefined && { passphrase }) }),
  );
  await mkdir(dirname(folder), { recursive: true });
  await rename(made.folder, folder).catch(async () => {
    // Another disk, or a folder that is there.
    await cp(made.folder, folder, { recursive: true });
    await rm(made.folder, { recursive: true });
  });
  return made;
}

interface Beside {
  readonly settings: Settings;
  readonly passphrase: string | undefined;
}

/** In a process of the coordinator's program, which knows its stores. */
async function beside(
  directory: string,
  command: readonly string[],
  { settings, passphrase }: Beside,
): Promise<unknown> {
  const args = [programs.upkeep(), ...command, ...coordinatorArguments(directory, settings)];
  const env = { ...process.env, ...(passphrase !== undefined && { GRAFT_PASSPHRASE: passphrase }) };
  return new Promise((done, fail) => {
    execFile(process.execPath, args, { env }, (error, stdout, stderr) => {
      if (error === null) done(JSON.parse(stdout.trim().split('\n').at(-1) ?? ''));
      else fail(errorOf(stderr));
    });
  });
}

function errorOf(stderr: string): GraftError {
  const last = stderr.trim().split('\n').at(-1) ?? '';
  try {
    const { code, message } = JSON.parse(last) as { code: ErrorCode; message: string };
    if (code in errorCatalogue) return new GraftError(code, message);
  } catch (cause) {
    return new GraftError('INTERNAL', `the coordinator's program ended: ${stderr.slice(-2_000)}`, { cause });
  }
  return new GraftError('INTERNAL', stderr.slice(-2_000));
}
