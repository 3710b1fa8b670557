/**
 * One agent a directory. The lock is a listening local socket: the operating system frees it when the process ends,
 * by kill -9 too. Linux has names that are no files; elsewhere a pipe or a socket in the temporary folder serves.
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

/** Throws AGENT_DIRECTORY_LOCKED where another process holds it. */
export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  await mkdir(directory, { recursive: true });
  const name = `graft-agent-${createHash('sha256')
    .update(await realpath(directory))
    .digest('hex')
    .slice(0, 32)}`;
  const address =
    process.platform === 'linux'
      ? `\0${name}`
      : process.platform === 'win32'
        ? `\\\\.\\pipe\\${name}`
        : join(tmpdir(), `${name}.sock`);
  const server = (await tryListen(address)) ?? (await takeOver(address));
  if (server === undefined) {
    throw new GraftError('AGENT_DIRECTORY_LOCKED', `another graft-agent runs on ${directory}`);
  }
  server.unref();
  return { release: () => new Promise((resolve) => server.close(() => resolve())) };
}

async function tryListen(address: string): Promise<Server | undefined> {
  const server = createServer((socket) => socket.destroy());
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    server.listen(address, () => resolve(server));
  });
}

/** A socket file outlives its process: where nobody answers, it is removed. */
async function takeOver(address: string): Promise<Server | undefined> {
  if (!address.endsWith('.sock') || (await answers(address))) return undefined;
  await rm(address, { force: true });
  return tryListen(address);
}

async function answers(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(address, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
