/**
 * A PostgreSQL server for tests, where its binaries are installed: a fresh cluster in a temporary folder, on a local socket,
 * gone when it is stopped. PostgreSQL refuses to run as root: root starts it as another user.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { access, chmod, chown, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

export interface TemporaryPostgres {
  /** Connection string of a new, empty database. */
  createDatabase(): Promise<string>;
  stop(): Promise<void>;
}

/** How long a server may take until it answers. */
const startMs = 60_000;

/** The folder of `initdb` and `postgres`: the newest of Debian's, else one on PATH; undefined where there is none. */
export async function findPostgres(): Promise<string | undefined> {
  const debian = '/usr/lib/postgresql';
  const versions = await readdir(debian).catch(() => [] as string[]);
  const folders = versions.sort((a, b) => Number(b) - Number(a)).map((version) => join(debian, version, 'bin'));
  for (const folder of [...folders, ...(process.env['PATH'] ?? '').split(delimiter)]) {
    if ((await isThere(join(folder, 'initdb'))) && (await isThere(join(folder, 'postgres')))) return folder;
  }
  return undefined;
}

/**
 * Why the half of a suite that needs PostgreSQL is skipped; undefined where it runs.
 * With GRAFT_REQUIRE_POSTGRES=1 nothing is skipped: starting it then fails with the reason.
 */
export async function whyNoPostgres(): Promise<string | undefined> {
  if (process.env['GRAFT_REQUIRE_POSTGRES'] === '1' || (await findPostgres()) !== undefined) return undefined;
  return 'PostgreSQL is not installed here (looked in /usr/lib/postgresql/*/bin and on PATH)';
}

/** Starts a cluster of its own. Throws where there are no binaries, or where it does not come up. */
export async function startPostgres(): Promise<TemporaryPostgres> {
  const binaries = await findPostgres();
  if (binaries === undefined) throw new Error('PostgreSQL is required and not installed: apt-get install postgresql');
  const user = await unprivileged();
  const directory = await mkdtemp(join(tmpdir(), 'graft-pg-'));
  if (user !== undefined) {
    await chown(directory, user.uid, user.gid);
    await chmod(directory, 0o700);
  }
  const data = join(directory, 'data');
  const options = { cwd: directory, ...user };
  try {
    const asTrusted = ['-U', 'graft', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'];
    await execute(join(binaries, 'initdb'), ['-D', data, ...asTrusted], options);
    // The socket is the only door; nobody else's ports are touched.
    const args = ['-D', data, '-k', directory, '-c', 'listen_addresses=', '-c', 'fsync=off'];
    const server = spawn(join(binaries, 'postgres'), args, { ...options, stdio: ['ignore', 'ignore', 'pipe'] });
    const stop = async (): Promise<void> => {
      await ended(server);
      await rm(directory, { recursive: true, force: true });
    };
    const psql = async (statement: string): Promise<void> => {
      await execute(join(binaries, 'psql'), ['-h', directory, '-U', 'graft', '-d', 'postgres', '-c', statement]);
    };
    try {
      await answers(server, () => psql('select 1'));
    } catch (error) {
      await stop();
      throw error;
    }
    let databases = 0;
    const createDatabase = async (): Promise<string> => {
      const name = `graft_${++databases}`;
      await psql(`create database ${name}`);
      return `postgres://graft@/${name}?host=${encodeURIComponent(directory)}`;
    };
    return { createDatabase, stop };
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    throw error;
  }
}

async function isThere(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

/** The user to run as: undefined for ourselves, where we are not root. */
async function unprivileged(): Promise<{ readonly uid: number; readonly gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ['postgres', 'nobody']) {
    try {
      const [uid, gid] = await Promise.all(
        ['-u', '-g'].map(async (flag) => Number((await execute('id', [flag, name])).stdout)),
      );
      if (uid !== undefined && gid !== undefined) return { uid, gid };
    } catch (error) {
      if (name === 'nobody') throw new Error('there is no user to run PostgreSQL as', { cause: error });
    }
  }
  return undefined;
}

async function answers(server: ChildProcess, ask: () => Promise<void>): Promise<void> {
  let log = '';
  server.stderr?.on('data', (piece: Buffer) => (log = (log + piece.toString()).slice(-4_000)));
  for (const until = Date.now() + startMs; ;) {
    try {
      return await ask();
    } catch (error) {
      if (server.exitCode !== null || server.signalCode !== null || Date.now() > until)
        throw new Error(`PostgreSQL did not start: ${log}`, { cause: error });
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** SIGINT is PostgreSQL's fast shutdown: open sessions are ended. */
async function ended(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const exit = new Promise((resolve) => server.once('exit', resolve));
  server.kill('SIGINT');
  await exit;
}
