/** A graft program as a child process: started with a log file, ready when it says so, ended politely. */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';

import { GraftError } from '@graft/core/error';

import { readJson } from './files.adapter.js';

const locate = createRequire(import.meta.url);

/** The built entry files that this command starts. */
export const programs = {
  coordinator: () => locate.resolve('@graft/coordinator/main'),
  upkeep: () => locate.resolve('@graft/coordinator/backup/backup.main'),
  agent: () => locate.resolve('@graft/client-agent/main'),
  simulation: () => locate.resolve('@graft/coordinator/simulate/simulate.main'),
};

export interface Child {
  readonly process: ChildProcess;
  readonly pid: number;
  /** Resolves with the exit code, or null for a signal. */
  readonly exited: Promise<number | null>;
}

/** Starts a program whose output goes to `logFile`; `detached` lets it outlive this command. */
export function startProgram(
  program: string,
  args: readonly string[],
  options: { readonly logFile: string; readonly detached?: boolean },
): Child {
  const log = openSync(options.logFile, 'a');
  const child = spawn(process.execPath, [program, ...args], {
    stdio: ['ignore', log, log],
    detached: options.detached ?? false,
  });
  closeSync(log);
  if (child.pid === undefined) throw new GraftError('INTERNAL', `could not start ${program}`);
  if (options.detached) child.unref();
  return {
    process: child,
    pid: child.pid,
    exited: new Promise((resolve) => child.once('exit', (code) => resolve(code))),
  };
}

/**
 * Waits until a started program has written `readyFile` with its own pid in it.
 * @throws GraftError with the end of its log where it ends first, or is not ready in time
 */
export async function untilReady<T extends { readonly pid: number }>(
  child: Child,
  options: { readonly readyFile: string; readonly logFile: string; readonly deadlineMs: number },
): Promise<T> {
  const giveUpAtMs = Date.now() + options.deadlineMs;
  while (Date.now() < giveUpAtMs) {
    const ready = await readJson<T>(options.readyFile);
    if (ready?.pid === child.pid) return ready;
    const code = await Promise.race([child.exited, sleep(50, 'running' as const)]);
    if (code !== 'running') {
      const tail = (await readFile(options.logFile, 'utf8')).trim().split('\n').slice(-3).join(' | ');
      throw new GraftError('INTERNAL', `the process ended with ${code ?? 'a signal'} before it was ready: ${tail}`);
    }
  }
  throw new GraftError(
    'UNAVAILABLE',
    `the process was not ready within ${options.deadlineMs} ms; its log is ${options.logFile}`,
  );
}

/** Runs a program to its end and returns what it printed. */
export async function runProgram(
  program: string,
  args: readonly string[],
): Promise<{ exit: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const collect = async (stream: NodeJS.ReadableStream): Promise<string> => {
    let text = '';
    for await (const piece of stream) text += String(piece);
    return text;
  };
  const exit = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const [stdout, stderr] = await Promise.all([collect(child.stdout), collect(child.stderr)]);
  return { exit: await exit, stdout, stderr };
}

/** Asks a child to end, and ends it after `graceMs`. */
export async function endProgram(child: Child, graceMs: number): Promise<void> {
  if (child.process.exitCode !== null || child.process.signalCode !== null) return;
  child.process.kill('SIGTERM');
  const timer = setTimeout(() => child.process.kill('SIGKILL'), graceMs);
  await child.exited;
  clearTimeout(timer);
}
