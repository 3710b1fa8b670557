/**
 * Time-outs by progress: a transfer may take as long as it takes, but not stand still. Progress is a whole chunk, so the
 * limit is also a least rate: 1 MiB in `silentMs`.
 */
import type { Timers } from '@graft/core/clock';

/** A transfer of which nothing comes for so long is cut, and goes on from its last chunk: 8.7 kB/s at least. */
export const silentMs = 120_000;

export interface SilenceWatch {
  /** A chunk has passed. */
  progress(): void;
  /** From now on silence is fine: the transfer waits for something else, or is over. */
  end(): void;
}

/** Calls `onSilent` once when nothing has passed for `limitMs`. */
export function watchSilence(timers: Timers, limitMs: number, onSilent: () => void): SilenceWatch {
  let cancel = timers.after(limitMs, onSilent);
  return {
    progress: () => {
      cancel();
      cancel = timers.after(limitMs, onSilent);
    },
    end: () => cancel(),
  };
}
