/** kill -9 of a process that writes into the embedded store, at random moments: what it acknowledged is there, its lock is not. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { random } from '@graft/core/random';

import type { Found } from './killed-writer.contract.js';
import { openStore } from './open-store.driver.js';

const root = await mkdtemp(join(tmpdir(), 'graft killed-'));
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const started: Writer[] = [];

afterAll(async () => {
  await Promise.all(started.map((writer) => writer.kill()));
  await rm(root, { recursive: true, force: true });
});

interface Writer {
  readonly pid: number | undefined;
  /** What it found when it opened the store. */
  found(): Promise<Found>;
  /** Resolves when it has acknowledged this many. */
  acknowledges(count: number): Promise<void>;
  /** Ends it with kill -9; answers the last number that it acknowledged, 0 for none. */
  kill(): Promise<number>;
}

function startWriter(directory: string): Writer {
  const loader = new URL('../../../test/support/run-source.js', import.meta.url).href;
  const child: ChildProcess = spawn(
    process.execPath,
    ['--import', loader, here('killed-writer.contract.ts'), directory],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const lines: unknown[] = [];
  const waiting = new Set<() => void>();
  let isOver = false;
  const look = (): void => {
    for (const check of waiting) check();
  };
  if (child.stdout === null) throw new Error('the writer has no output');
  const output = createInterface({ input: child.stdout });
  output.on('line', (line) => {
    lines.push(JSON.parse(line));
    look();
  });
  const closed = new Promise<void>((resolve) => {
    output.once('close', () => {
      isOver = true;
      look();
      resolve();
    });
  });
  const hasLines = (count: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const check = (): void => {
        if (lines.length >= count) resolve();
        else if (isOver) reject(new Error('the writer ended by itself'));
        else return;
        waiting.delete(check);
      };
      waiting.add(check);
      check();
    });
  const writer: Writer = {
    pid: child.pid,
    found: async () => {
      await hasLines(1);
      return lines[0] as Found;
    },
    acknowledges: (count) => hasLines(count + 1),
    kill: async () => {
      child.kill('SIGKILL');
      await closed;
      return Number(lines.slice(1).at(-1) ?? 0);
    },
  };
  started.push(writer);
  return writer;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);

async function foundBy(writer: Writer): Promise<readonly number[]> {
  const found = await writer.found();
  if ('refused' in found) throw new Error(found.refused);
  expect(found.whole).toBe(true);
  return found.numbers;
}

/** One directory for all: making a database is most of the time that this takes. */
const directory = join(root, 'data');

test('a process killed while it makes the database leaves none, and the next one makes it', async () => {
  const writer = startWriter(directory);
  await pause(1_500);
  await writer.kill();
  const next = startWriter(directory);
  const numbers = await foundBy(next);
  expect(numbers).toEqual(upTo(numbers.length));
  await next.acknowledges(1);
  await next.kill();
}, 300_000);

test('a process killed at any moment loses nothing that it acknowledged, and frees the directory', async () => {
  const dice = random(11);
  let acknowledged = 0;
  for (let kill = 0; kill < 3; kill++) {
    const writer = startWriter(directory);
    const numbers = await foundBy(writer);
    expect(numbers).toEqual(upTo(numbers.length));
    // At most the one commit in hand came without its acknowledgement.
    if (kill > 0) expect([acknowledged, acknowledged + 1]).toContain(numbers.length);
    await writer.acknowledges(1 + Math.floor(dice.next() * 40));
    await pause(dice.next() * 20);
    acknowledged = await writer.kill();
    expect(acknowledged).toBeGreaterThan(numbers.length);
  }
  const last = startWriter(directory);
  expect((await foundBy(last)).length).toBeGreaterThanOrEqual(acknowledged);

  // It writes on while a second one comes.
  const said = { code: 'DIRECTORY_LOCKED', details: { directory, pid: String(last.pid) } };
  await expect(openStore({ kind: 'embedded', directory })).rejects.toMatchObject(said);
}, 300_000);
