/** What every command needs: its directory, how to print, and how to end. */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

import type { Command } from 'commander';

import { createOutput, describeError, type Output, type Terminal } from '../output/output.js';

export interface GlobalOptions {
  readonly json?: boolean;
  readonly dir?: string;
}

export interface CommandContext<Options> {
  readonly options: Options & GlobalOptions;
  readonly args: readonly string[];
  readonly output: Output;
  /** The agent's directory: --dir, else GRAFT_AGENT_DIR, else ~/.graft-agent. */
  readonly directory: string;
}

export const processTerminal: Terminal = {
  out: (line) => process.stdout.write(`${line}\n`),
  err: (line) => process.stderr.write(`${line}\n`),
};

export function agentDirectory(options: GlobalOptions): string {
  return resolve(options.dir ?? process.env['GRAFT_AGENT_DIR'] ?? join(homedir(), '.graft-agent'));
}

export type CommandBody<Options extends object> = (context: CommandContext<Options>) => Promise<number>;

/** Runs the body of a command for commander: errors as an envelope or lines. Returns the exit code. */
export async function runBody<Options extends object>(
  body: CommandBody<Options>,
  command: Command,
  terminal: Terminal,
): Promise<number> {
  const options = command.optsWithGlobals<Options & GlobalOptions>();
  const output = createOutput(terminal, options.json ?? false);
  try {
    return await body({ options, args: command.args, output, directory: agentDirectory(options) });
  } catch (error) {
    return printError(error, { json: output.json, terminal });
  }
}

/** Prints an error as UX asks, and returns its exit code. */
export function printError(error: unknown, { json, terminal }: { json: boolean; terminal: Terminal }): number {
  const { envelope, lines, exit } = describeError(error);
  if (json) terminal.out(JSON.stringify(envelope));
  else for (const line of lines) terminal.err(line);
  return exit;
}
