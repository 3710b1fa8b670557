/** Starts a coordinator in a directory, with the settings that `graft init` wrote there. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { GraftError } from '@graft/core/error';

import type { CoordinatorFile } from '../commands/context.driver.js';
import { programs, startProgram, untilReady, type Child } from './child.driver.js';
import { readJson } from './files.adapter.js';

const port = z.int().min(0).max(65_535);

export const settingsSchema = z.strictObject({
  /** Names and addresses under which agents reach the coordinator; they go into its certificate. */
  hosts: z.array(z.string().min(1)).min(1),
  apiHost: z.string().min(1),
  apiPort: port,
  grpcPort: port,
  enrolPort: port,
  /** A PostgreSQL URL; absent for the embedded database. */
  database: z.string().min(1).optional(),
  /** s3://BUCKET/PREFIX; absent for the directory. Its keys come from the environment. */
  blobs: z.string().min(1).optional(),
  blobsEndpoint: z.string().min(1).optional(),
  blobsRegion: z.string().min(1).optional(),
});

export type Settings = z.infer<typeof settingsSchema>;

export const defaultSettings: Settings = {
  hosts: ['localhost', '127.0.0.1'],
  apiHost: '127.0.0.1',
  apiPort: 8080,
  grpcPort: 9090,
  enrolPort: 9091,
};

const settingsFile = (directory: string): string => join(directory, 'settings.json');

export async function writeSettings(directory: string, settings: Settings): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await writeFile(settingsFile(directory), `${JSON.stringify(settings, undefined, 2)}\n`);
}

/** The settings of a directory, or undefined where there are none. */
export async function readSettings(directory: string): Promise<Settings | undefined> {
  const text = await readJson<unknown>(settingsFile(directory));
  if (text === undefined) return undefined;
  const parsed = settingsSchema.safeParse(text);
  if (!parsed.success) {
    throw new GraftError(
      'INVALID_REQUEST',
      `${settingsFile(directory)} is not valid: ${z.prettifyError(parsed.error)}`,
    );
  }
  return parsed.data;
}

/** Command-line arguments of the coordinator. */
export function coordinatorArguments(directory: string, settings: Settings): string[] {
  return [
    `--dir=${directory}`,
    ...settings.hosts.map((host) => `--host=${host}`),
    `--api-host=${settings.apiHost}`,
    `--api-port=${settings.apiPort}`,
    `--grpc-port=${settings.grpcPort}`,
    `--enrol-port=${settings.enrolPort}`,
    ...(settings.database === undefined ? [] : [`--db=${settings.database}`]),
    ...(settings.blobs === undefined ? [] : [`--blobs=${settings.blobs}`]),
    ...(settings.blobsEndpoint === undefined ? [] : [`--blobs-endpoint=${settings.blobsEndpoint}`]),
    ...(settings.blobsRegion === undefined ? [] : [`--blobs-region=${settings.blobsRegion}`]),
  ];
}

/**
 * Starts a coordinator as a process of its own and waits until it answers.
 * @param onStart called with the process before it answers, so that it can be ended meanwhile
 */
export async function startCoordinator(
  directory: string,
  settings: Settings,
  onStart: (child: Child) => void = () => undefined,
): Promise<{ child: Child; ready: CoordinatorFile }> {
  const logFile = join(directory, 'coordinator.log');
  const child = startProgram(programs.coordinator(), coordinatorArguments(directory, settings), {
    logFile,
    detached: true,
  });
  onStart(child);
  const ready = await untilReady<CoordinatorFile>(child, {
    readyFile: join(directory, 'coordinator.json'),
    logFile,
    deadlineMs: 60_000,
  });
  return { child, ready };
}

/** The coordinator that runs in a directory, or undefined. */
export async function runningCoordinator(directory: string): Promise<CoordinatorFile | undefined> {
  const file = await readJson<CoordinatorFile>(join(directory, 'coordinator.json'));
  return file !== undefined && isAlive(file.pid) ? file : undefined;
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
