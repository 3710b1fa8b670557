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
  /** kill -9 of the server and of every session, in the middle of whatever they do; what they had written stays. */
  kill(): Promise<void>;
  /** Starts it again on the same socket and folder; it recovers first. */
  restart(): Promise<void>;
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
    const psql = async (statement: string): Promise<void> => {
      await execute(join(binaries, 'psql'), ['-h', directory, '-U', 'graft', '-d', 'postgres', '-c', statement]);
    };
    const launch = async (): Promise<ChildProcess> => {
      // The socket is the only door; nobody else's ports are touched.
      const args = ['-D', data, '-k', directory, '-c', 'listen_addresses=', '-c', 'fsync=off'];
      const started = spawn(join(binaries, 'postgres'), args, { ...options, stdio: ['ignore', 'ignore', 'pipe'] });
      try {
        await answers(started, () => psql('select 1'));
      } catch (error) {
        await ended(started);
        throw error;
      }
      return started;
    };
    let server = await launch();
    const kill = async (): Promise<void> => killed(server);
    let databases = 0;
    return {
      createDatabase: async () => {
        const name = `graft_${++databases}`;
        await psql(`create database ${name}`);
        return `postgres://graft@/${name}?host=${encodeURIComponent(directory)}`;
      },
      kill,
      restart: async () => {
        await kill();
        server = await launch();
      },
      stop: async () => {
        await ended(server);
        await rm(directory, { recursive: true, force: true });
      },
    };
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

/** Its sessions are its children: all are killed, and gone before it is started again. */
async function killed(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const exit = new Promise((resolve) => server.once('exit', resolve));
  const sessions = await childrenOf(server.pid ?? 0);
  server.kill('SIGKILL');
  for (const session of sessions) signal(session, 'SIGKILL');
  await exit;
  while (sessions.some((session) => signal(session, 0))) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** Processes that a process has started. */
async function childrenOf(pid: number): Promise<number[]> {
  // Without a child `ps` ends with 1.
  const { stdout } = await execute('ps', ['-o', 'pid=', '--ppid', String(pid)]).catch(() => ({ stdout: '' }));
  return stdout
    .split('\n')
    .map(Number)
    .filter((child) => child > 0);
}

/** False where there is no such process any more. */
function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, name);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false;
    throw error;
  }
}
