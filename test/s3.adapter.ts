/**
 * An S3 server for tests, where test/s3/build.sh has built it: versitygw over a temporary folder, on a free port of loopback,
 * gone when it is stopped.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { access, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TemporaryS3 {
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** The folder that holds one folder a bucket. */
  readonly directory: string;
  /** Name of a new, empty bucket. */
  createBucket(): Promise<string>;
  /** Ends the server at once; its folder stays. */
  kill(): Promise<void>;
  /** Starts it again on the same port and folder. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** How long the server may take until it answers. */
const startMs = 60_000;

const program = (): string =>
  join(
    process.env['GRAFT_S3_SERVER_DIR'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'graft/s3'),
    'versitygw',
  );

/**
 * Why the suites that need an S3 server are skipped; undefined where they run.
 * With GRAFT_REQUIRE_S3=1 nothing is skipped: starting it then fails with the reason.
 */
export async function whyNoS3(): Promise<string | undefined> {
  if (process.env['GRAFT_REQUIRE_S3'] === '1') return undefined;
  return access(program()).then(
    () => undefined,
    () => `versitygw is not built here (looked for ${program()}); test/s3/build.sh builds it`,
  );
}

/** Starts a server of its own. Throws where the program is missing, or where it does not come up. */
export async function startS3(): Promise<TemporaryS3> {
  const directory = await mkdtemp(join(tmpdir(), 'graft-s3-'));
  const keys = { accessKeyId: 'graft-test-key', secretAccessKey: 'graft-test-secret-key' };
  const port = await freePort();
  const endpoint = `http://127.0.0.1:${port}`;
  const launch = async (): Promise<ChildProcess> => {
    const server = spawn(
      program(),
      ['--quiet', '--port', `127.0.0.1:${port}`, '--health', '/health', 'posix', directory],
      {
        stdio: ['ignore', 'ignore', 'pipe'],
        env: { PATH: process.env['PATH'], ROOT_ACCESS_KEY: keys.accessKeyId, ROOT_SECRET_KEY: keys.secretAccessKey },
      },
    );
    await answers(server, endpoint);
    return server;
  };
  let server: ChildProcess;
  try {
    server = await launch();
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    throw error;
  }
  let buckets = 0;
  const kill = async (): Promise<void> => {
    if (server.exitCode !== null || server.signalCode !== null) return;
    const exit = new Promise((resolve) => server.once('exit', resolve));
    server.kill('SIGKILL');
    await exit;
  };
  return {
    endpoint,
    ...keys,
    directory,
    createBucket: async () => {
      const name = `graft-${++buckets}`;
      await mkdir(join(directory, name));
      return name;
    },
    kill,
    restart: async () => {
      await kill();
      server = await launch();
    },
    stop: async () => {
      await kill();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function answers(server: ChildProcess, endpoint: string): Promise<void> {
  let log = '';
  server.stderr?.on('data', (piece: Buffer) => (log = (log + piece.toString()).slice(-4_000)));
  const failed = new Promise<never>((_, reject) => {
    server.once('error', (cause) =>
      reject(new Error(`an S3 server is required and does not start: test/s3/build.sh builds ${program()}`, { cause })),
    );
  });
  const ready = async (): Promise<void> => {
    for (const until = Date.now() + startMs; ;) {
      const response = await fetch(`${endpoint}/health`).catch(() => undefined);
      if (response?.ok === true) return;
      if (server.exitCode !== null || server.signalCode !== null || Date.now() > until)
        throw new Error(`the S3 server did not start: ${log}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  await Promise.race([ready(), failed]);
}
