/** `graft init`, `graft up`, `graft down`: a coordinator on this machine. */
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Command } from 'commander';

import { GraftError } from '@graft/core/error';

import {
  coordinatorArguments,
  defaultSettings,
  isAlive,
  readSettings,
  runningCoordinator,
  startCoordinator,
  writeSettings,
  type Settings,
} from '../processes/coordinator.driver.js';
import { programs } from '../processes/child.driver.js';
import { action, coordinatorDirectory } from './context.driver.js';
import { quoted } from '../output/quoted.js';

interface InitOptions {
  readonly host?: string[];
  readonly apiHost?: string;
  readonly apiPort?: number;
  readonly grpcPort?: number;
  readonly enrolPort?: number;
  readonly db?: string;
  readonly blobs?: string;
  readonly blobsEndpoint?: string;
  readonly blobsRegion?: string;
}

export function registerCoordinator(program: Command): void {
  const port = (text: string): number => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < 0 || value > 65_535)
      throw new GraftError('INVALID_REQUEST', `port ${text} is not a number from 0 to 65535`);
    return value;
  };
  program
    .command('init')
    .description('prepare a directory for a coordinator')
    .option('--host <name...>', 'names under which agents reach it; they go into its certificate')
    .option('--api-host <address>', 'address of the admin API')
    .option('--api-port <port>', 'port of the admin API', port)
    .option('--grpc-port <port>', 'port that enrolled agents call', port)
    .option('--enrol-port <port>', 'port that new agents call', port)
    .option('--db <url>', 'a PostgreSQL URL; without it the embedded database')
    .option('--blobs <place>', 's3://BUCKET/PREFIX; without it the directory')
    .option('--blobs-endpoint <url>', 'an S3 server other than Amazon’s')
    .option('--blobs-region <region>', 'region of the bucket')
    .action(
      action<InitOptions>(async ({ options, output }) => {
        const directory = coordinatorDirectory(options);
        if ((await readSettings(directory)) !== undefined) {
          throw new GraftError(
            'INVALID_REQUEST',
            `${directory} holds a coordinator already; start it with: graft up --dir ${quoted(directory)}`,
          );
        }
        const settings: Settings = {
          ...defaultSettings,
          ...(options.host && { hosts: [...new Set([...options.host, ...defaultSettings.hosts])] }),
          ...(options.apiHost !== undefined && { apiHost: options.apiHost }),
          ...(options.apiPort !== undefined && { apiPort: options.apiPort }),
          ...(options.grpcPort !== undefined && { grpcPort: options.grpcPort }),
          ...(options.enrolPort !== undefined && { enrolPort: options.enrolPort }),
          ...(options.db !== undefined && { database: options.db }),
          ...(options.blobs !== undefined && { blobs: options.blobs }),
          ...(options.blobsEndpoint !== undefined && { blobsEndpoint: options.blobsEndpoint }),
          ...(options.blobsRegion !== undefined && { blobsRegion: options.blobsRegion }),
        };
        await writeSettings(directory, settings);
        output.result({ directory, settings }, [
          `coordinator prepared in ${directory}`,
          `next: graft up --dir ${quoted(directory)}`,
          `then: graft site invite --dir ${quoted(directory)} --name SITE`,
        ]);
      }),
    );

  program
    .command('up')
    .description('start the coordinator of a directory')
    .option('--detach', 'return as soon as it answers, and leave it running')
    .action(
      action<{ detach?: boolean }>(async ({ options, output }) => {
        const directory = coordinatorDirectory(options);
        const settings = (await readSettings(directory)) ?? defaultSettings;
        await writeSettings(directory, settings);
        if (options.detach !== true) return runAttached(coordinatorArguments(directory, settings));
        const { ready } = await startCoordinator(directory, settings);
        output.result(ready, [
          `coordinator is up (pid ${ready.pid}), admin API ${ready.apiUrl}, agents ${ready.grpcAddress}, enrolment ${ready.enrolAddress}`,
          `CA fingerprint ${ready.caFingerprint}`,
          `stop it with: graft down --dir ${quoted(directory)}`,
        ]);
        return 0;
      }),
    );

  program
    .command('down')
    .description('stop the coordinator of a directory; running rounds go on when it starts again')
    .action(
      action<object>(async ({ options, output }) => {
        const directory = coordinatorDirectory(options);
        const running = await runningCoordinator(directory);
        if (running === undefined) {
          output.result({ stopped: false }, [`no coordinator runs in ${directory}`]);
          return;
        }
        process.kill(running.pid, 'SIGTERM');
        for (let waitedMs = 0; isAlive(running.pid); waitedMs += 50) {
          if (waitedMs > 30_000)
            throw new GraftError('UNAVAILABLE', `the coordinator (pid ${running.pid}) did not end within 30 s`);
          await sleep(50);
        }
        output.result({ stopped: true, pid: running.pid }, [`coordinator stopped (pid ${running.pid})`]);
      }),
    );
}

/** Runs the coordinator in the foreground: its output is ours, and so are its signals and its exit code. */
function runAttached(args: readonly string[]): Promise<number> {
  const child = spawn(process.execPath, [programs.coordinator(), ...args], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  return new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 130)));
}
