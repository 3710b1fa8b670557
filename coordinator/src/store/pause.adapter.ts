/** Waits before the next attempt, for a time drawn by chance. */
import { setTimeout as sleep } from 'node:timers/promises';

import { backoffMs, type Backoff } from './backoff.js';

/** @param attempt 1 after the first failure */
export const pauseBefore = (backoff: Backoff, attempt: number): Promise<void> =>
  sleep(backoffMs(backoff, attempt, Math.random()));
