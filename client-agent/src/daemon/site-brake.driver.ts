/**
 * The site's own brake, as the daemon sees it: `paused.json` and `drain.json` in the agent's directory, written by the
 * commands of these names, and the hours that agent.yaml allows. Files need no port and no right but that to the directory.
 */
import { rm } from 'node:fs/promises';
import { watch, type FSWatcher } from 'node:fs';
import { basename } from 'node:path';

import type { AgentPaths } from '../config/agent-paths.js';
import { readIfPresent, writeFileAtomically } from '../config/files.adapter.js';
import { describeHours, isOpen, nextChangeMs, parseHours } from '../config/hours.js';
import { parseDrain, parsePause, type DrainRequest, type Pause } from './brake-files.js';

/** How often it looks where the system tells of no change: some network file systems do not. */
const lookEveryMs = 2_000;

/** Node's timers hold 31 bits of milliseconds. */
const longestTimerMs = 2 ** 31 - 1;

export interface BrakeOptions {
  readonly paths: AgentPaths;
  /** As in agent.yaml. */
  readonly hours: string | undefined;
  readonly nowMs: () => number;
  /** Called with every change, and once at start; undefined while the site computes. */
  readonly onPause: (pause: Pause | undefined) => void;
  readonly onDrain: (request: DrainRequest) => void;
}

export interface SiteBrake {
  close(): void;
}

/** Looks at once, and from then on; a drain that was asked of a former process is forgotten. */
export async function watchBrake(options: BrakeOptions): Promise<SiteBrake> {
  const { paths, nowMs } = options;
  await rm(paths.drain, { force: true });
  const told: { paused: string | undefined; drained: boolean } = { paused: undefined, drained: false };
  const closed = new AbortController();
  const look = async (): Promise<void> => {
    if (closed.signal.aborted) return;
    const paused = await readIfPresent(paths.paused);
    if (paused !== told.paused) {
      told.paused = paused;
      options.onPause(paused === undefined ? undefined : parsePause(paused));
    }
    const drain = told.drained ? undefined : await readIfPresent(paths.drain);
    if (drain === undefined || told.drained) return;
    told.drained = true;
    options.onDrain(parseDrain(drain, nowMs()));
  };
  // What cannot be read now is looked at again in a moment.
  const lookAgain = (): void => void look().catch(() => undefined);
  await keepHours(options, closed.signal, lookAgain);
  await look();

  const names = new Set([paths.paused, paths.drain].map((file) => basename(file)));
  const watcher = watchFolder(paths.directory, (name) => {
    if (name === null || names.has(name)) lookAgain();
  });
  const timer = setInterval(lookAgain, lookEveryMs);
  timer.unref();
  return {
    close: () => {
      closed.abort();
      clearInterval(timer);
      watcher?.close();
    },
  };
}

function watchFolder(folder: string, onChange: (name: string | null) => void): FSWatcher | undefined {
  try {
    const watcher = watch(folder, { persistent: false }, (_, name) => onChange(name));
    watcher.on('error', () => watcher.close());
    return watcher;
  } catch {
    // Not every file system tells of changes; the timer looks all the same.
    return undefined;
  }
}

/** Pauses when the hours end and goes on when they begin. What the site does in between by hand holds until the next change. */
async function keepHours(
  { paths, hours: text, nowMs }: BrakeOptions,
  closed: AbortSignal,
  onChange: () => void,
): Promise<void> {
  const hours = text === undefined ? undefined : parseHours(text);
  const keep = async (): Promise<void> => {
    const known = await readIfPresent(paths.paused);
    const isOurs = known !== undefined && parsePause(known).by === 'hours';
    if (hours === undefined || isOpen(hours, nowMs())) {
      if (isOurs) await rm(paths.paused, { force: true });
    } else if (known === undefined) {
      const reason = `outside its hours, ${describeHours(hours)}`;
      await writeFileAtomically(paths.paused, JSON.stringify({ sinceMs: nowMs(), by: 'hours', reason }));
    }
  };
  const change = async (): Promise<void> => {
    if (closed.aborted) return;
    try {
      await keep();
    } catch {
      // A full disk, say: the site computes on, and it is tried again at the next change.
    }
    onChange();
    arm();
  };
  const arm = (): void => {
    if (hours === undefined || closed.aborted) return;
    const waitMs = Math.min(longestTimerMs, nextChangeMs(hours, nowMs()) - nowMs());
    const timer = setTimeout(() => void change(), Math.max(1_000, waitMs));
    timer.unref();
  };
  await keep();
  arm();
}
