/** What every command needs: where the coordinator is, how to print, and how to end. */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

import type { Command } from 'commander';

import { GraftError } from '@graft/core/error';

import { adminApi, type AdminApi } from '../api/admin-api.adapter.js';
import { createOutput, describeError, type Output, type Terminal } from '../output/output.js';
import { readJson, readText } from '../processes/files.adapter.js';

export interface GlobalOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly api?: string;
  readonly key?: string;
  readonly dir?: string;
}

/** What a running coordinator writes into its directory. */
export interface CoordinatorFile {
  readonly pid: number;
  readonly apiUrl: string;
  readonly grpcAddress: string;
  readonly enrolAddress: string;
  readonly caFingerprint: string;
}

/** Lines that the screen shows now. */
let drawn = 0;

/** Draws over what was drawn before; what has no room on the terminal is left out. */
function screen(lines: readonly string[]): void {
  const fitting = lines.slice(0, Math.max(1, process.stdout.rows - 1));
  const back = drawn === 0 ? '' : `\u001b[${drawn}A\r\u001b[J`;
  process.stdout.write(`${back}${fitting.join('\n')}\n`);
  drawn = fitting.length;
}

export const terminal: Terminal = {
  out: (line) => process.stdout.write(`${line}\n`),
  err: (line) => process.stderr.write(`${process.stderr.isTTY ? '\r\u001b[K' : ''}${line}\n`),
  ...(process.stderr.isTTY ? { status: (line: string) => process.stderr.write(`\r\u001b[K${line}`) } : {}),
  ...(process.stdout.isTTY ? { screen } : {}),
  width: () => process.stdout.columns ?? (Number(process.env['COLUMNS']) || Infinity),
};

/** The coordinator's directory: --dir, else GRAFT_DIR, else ~/.graft. */
export function coordinatorDirectory(options: GlobalOptions): string {
  return resolve(options.dir ?? process.env['GRAFT_DIR'] ?? join(homedir(), '.graft'));
}

/** The admin API: --api and --key, else GRAFT_API and GRAFT_API_KEY, else what the coordinator's directory says. */
export async function connect(options: GlobalOptions): Promise<AdminApi> {
  const directory = coordinatorDirectory(options);
  const url =
    options.api ??
    process.env['GRAFT_API'] ??
    (await readJson<CoordinatorFile>(join(directory, 'coordinator.json')))?.apiUrl;
  if (url === undefined) {
    throw new GraftError(
      'UNAVAILABLE',
      `no coordinator is known: ${directory} holds no coordinator.json, and neither --api nor GRAFT_API is set`,
    );
  }
  const key = options.key ?? process.env['GRAFT_API_KEY'] ?? (await readText(join(directory, 'admin.key')))?.trim();
  return adminApi(url, key);
}

/** Wraps the body of a command: options with the global ones, output, errors as UX asks, exit code. */
export function action<O extends object>(
  body: (context: {
    readonly options: O & GlobalOptions;
    readonly args: readonly string[];
    readonly output: Output;
  }) => Promise<number | void>,
): (...parameters: unknown[]) => Promise<void> {
  return async (...parameters) => {
    const command = parameters.at(-1) as Command;
    const options = command.optsWithGlobals<O & GlobalOptions>();
    const output = createOutput(terminal, { json: options.json ?? false, quiet: options.quiet ?? false });
    try {
      process.exitCode = (await body({ options, args: command.args, output })) ?? 0;
    } catch (error) {
      const { envelope, lines, exit } = describeError(error);
      if (output.json) terminal.out(JSON.stringify(envelope));
      else for (const line of lines) terminal.err(line);
      process.exitCode = exit;
    }
  };
}
