/**
 * One coordinator a directory: PGlite has no lock of its own, and two processes on one data directory lose rows silently.
 * The lock is a listening local socket, which the operating system frees when the process ends, by kill -9 too.
 * Whoever connects is told the pid of the holder.
 */
import { createHash } from 'node:crypto';
import { mkdir, realpath, rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { GraftError } from '@graft/core/error';

export interface DirectoryLock {
  release(): Promise<void>;
}

/** Throws DIRECTORY_LOCKED where another process holds it. */
export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const digest = createHash('sha256')
    .update(await realpath(directory))
    .digest('hex');
  const address = addressOf(`graft-coordinator-${digest.slice(0, 32)}`);
  const server = (await tryListen(address)) ?? (await takeOver(address));
  if (server === undefined) {
    const { pid } = await holderOf(address);
    throw new GraftError('DIRECTORY_LOCKED', `${directory} belongs to the coordinator with pid ${pid}`, {
      details: { directory, pid },
    });
  }
  server.unref();
  return { release: () => new Promise((resolve) => server.close(() => resolve())) };
}

/** Linux has names that are no files; elsewhere a pipe or a socket in the temporary folder serves. */
function addressOf(name: string): string {
  if (process.platform === 'linux') return `\0${name}`;
  return process.platform === 'win32' ? `\\\\.\\pipe\\${name}` : join(tmpdir(), `${name}.sock`);
}

async function tryListen(address: string): Promise<Server | undefined> {
  const server = createServer((socket) => socket.end(`${process.pid}\n`));
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    server.listen(address, () => resolve(server));
  });
}

/** A socket file outlives its process: where nobody listens, it is removed. */
async function takeOver(address: string): Promise<Server | undefined> {
  if (!address.endsWith('.sock') || (await holderOf(address)).listens) return undefined;
  await rm(address, { force: true });
  return tryListen(address);
}

interface Holder {
  /** False only where the system refuses the connection: a busy or stopped process still listens. */
  readonly listens: boolean;
  /** What the holder says of itself, 'unknown' where it does not answer in time. */
  readonly pid: string;
}

/** A holder whose event loop is busy, or whose machine is, answers late. */
const answerMs = 5_000;

async function holderOf(address: string): Promise<Holder> {
  return new Promise((resolve) => {
    let said = '';
    const socket = connect(address);
    socket.setTimeout(answerMs, () => socket.destroy());
    socket.on('data', (piece) => (said += piece.toString()));
    const answer = (listens: boolean): void => resolve({ listens, pid: said.trim() === '' ? 'unknown' : said.trim() });
    socket.once('error', (error: NodeJS.ErrnoException) =>
      answer(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'),
    );
    socket.once('close', () => answer(true));
  });
}
