/** The site's own brake: while a file is there, work that computes waits. It holds across restarts, and needs no agent to be reached. */
import { access } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** How often a waiting job looks whether it may go on, milliseconds. */
const pollMs = 250;

export async function isPaused(file: string): Promise<boolean> {
  try {
    await access(file);
    return true;
  } catch {
    // Not there, or not to be seen: work goes on.
    return false;
  }
}

/** Resolves as soon as the file is gone; rejects with the signal's reason. */
export async function whilePaused(file: string, signal: AbortSignal): Promise<void> {
  while (await isPaused(file)) {
    signal.throwIfAborted();
    await sleep(pollMs);
  }
  signal.throwIfAborted();
}
