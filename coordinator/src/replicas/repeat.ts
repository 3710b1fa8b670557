/** Work that is done again and again, one time after the other; a time that fails is logged and the next one comes. */
import type { Timers } from '@graft/core/clock';
import type { Logger } from '../rounds/rounds.js';

export interface Repeated {
  /** Does it now; where it is being done, once more when that has ended. Resolves when it has been done. */
  now(): Promise<void>;
  /** No more times; resolves when the one in hand has ended. */
  stop(): Promise<void>;
}

export interface RepeatOptions {
  readonly what: string;
  readonly timers: Timers;
  readonly logger: Logger;
  /** Milliseconds until the next time. */
  readonly everyMs: () => number;
}

export function repeat(work: () => Promise<void>, { what, timers, logger, everyMs }: RepeatOptions): Repeated {
  let stopped = false;
  let running: Promise<void> | undefined;
  let again: Promise<void> | undefined;
  let cancel = timers.after(everyMs(), onTime);

  function onTime(): void {
    void now();
  }

  async function once(): Promise<void> {
    cancel();
    try {
      await work();
    } catch (error) {
      if (!stopped) logger.error({ err: error }, `${what} failed, it comes again`);
    }
    running = undefined;
    if (!stopped && again === undefined) cancel = timers.after(everyMs(), onTime);
  }

  function now(): Promise<void> {
    if (stopped) return running ?? Promise.resolve();
    if (running === undefined) return (running = once());
    again ??= running.then(() => {
      again = undefined;
      return now();
    });
    return again;
  }

  return {
    now,
    stop: async () => {
      stopped = true;
      cancel();
      await running;
    },
  };
}
