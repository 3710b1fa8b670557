/** The two commands as a person runs them: built programs, real processes, a folder of their own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');

export const programs = {
  graft: join(root, 'cli/dist/main.js'),
  agent: join(root, 'client-agent/dist/main.js'),
};

export interface Finished {
  readonly exit: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
}

/** Runs a program to its end. Rejects where it takes longer than `timeoutMs` (default two minutes). */
export async function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const child = start(program, args, options);
  const timer = setTimeout(() => child.process.kill('SIGKILL'), options.timeoutMs ?? 120_000);
  const exit = await child.exited;
  clearTimeout(timer);
  return { exit, stdout: child.stdout(), stderr: child.stderr() };
}

/** Runs a program with --json and returns the data of its envelope; fails loudly where the command failed. */
export async function json<T>(program: string, args: readonly string[], options: RunOptions = {}): Promise<T> {
  const finished = await run(program, [...args, '--json'], options);
  const last = finished.stdout.trim().split('\n').at(-1) ?? '';
  const envelope = JSON.parse(last === '' ? '{}' : last) as { ok?: boolean; data?: T };
  if (envelope.ok !== true) {
    throw new Error(`${args.join(' ')} ended with ${finished.exit}\n${finished.stdout}\n${finished.stderr}`);
  }
  return envelope.data as T;
}

export interface Running {
  readonly process: ChildProcess;
  readonly exited: Promise<number | null>;
  stdout(): string;
  stderr(): string;
}

/** Starts a program and leaves it running. */
export function start(program: string, args: readonly string[], options: RunOptions = {}): Running {
  const child = spawn(process.execPath, [program, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: '', NO_COLOR: '1', ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const text = { stdout: '', stderr: '' };
  child.stdout.on('data', (piece: Buffer) => (text.stdout += piece.toString()));
  child.stderr.on('data', (piece: Buffer) => (text.stderr += piece.toString()));
  const exited = new Promise<number | null>((done) => child.once('close', (code) => done(code)));
  return { process: child, exited, stdout: () => text.stdout, stderr: () => text.stderr };
}

/** Ends a program politely, by force after ten seconds. */
export async function stop(running: Running): Promise<void> {
  if (running.process.exitCode !== null || running.process.signalCode !== null) return;
  running.process.kill('SIGTERM');
  const timer = setTimeout(() => running.process.kill('SIGKILL'), 10_000);
  await running.exited;
  clearTimeout(timer);
}

/** Waits until `condition` answers something, asking every 50 ms. Rejects after `timeoutMs` with what was waited for. */
export async function until<T>(what: string, condition: () => Promise<T | undefined>, timeoutMs = 60_000): Promise<T> {
  const giveUpAtMs = Date.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value !== undefined) return value;
    if (Date.now() > giveUpAtMs) throw new Error(`waited ${timeoutMs} ms for ${what}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

/** A folder of its own, with a space in its name, and how to remove it. */
export async function folder(): Promise<{ path: string; remove: () => Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'graft test '));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}
