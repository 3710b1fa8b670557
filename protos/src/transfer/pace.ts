/** A rate that several transfers share: each asks before it goes on, and waits its turn. */
import type { Clock, Timers } from '@graft/core/clock';

import { fullBucket, takeTokens, type Bucket, type BucketRate } from './token-bucket.js';

export interface Pace {
  /** Resolves when `bytes` may pass, or once `signal` is aborted. */
  take(bytes: number, signal?: AbortSignal): Promise<void>;
}

/** No limit. */
export const unpaced: Pace = { take: async () => undefined };

/** @param bytesPerS shared by all who take; no limit where it is undefined. Half a second's bytes may pass at once. */
export function pace(bytesPerS: number | undefined, time: Clock & Timers): Pace {
  if (bytesPerS === undefined) return unpaced;
  const rate: BucketRate = { bytesPerS, burstBytes: bytesPerS / 2 };
  let bucket: Bucket = fullBucket(rate, time.nowMs());
  return {
    take: async (bytes, signal) => {
      const taken = takeTokens(bucket, rate, { bytes, atMs: time.nowMs() });
      bucket = taken.bucket;
      if (taken.waitMs > 0) await waited(time, taken.waitMs, signal);
    },
  };
}

/** The stricter of several paces. */
export function both(first: Pace, second: Pace): Pace {
  return {
    take: async (bytes, signal) => {
      await Promise.all([first.take(bytes, signal), second.take(bytes, signal)]);
    },
  };
}

async function waited(timers: Timers, ms: number, signal: AbortSignal | undefined): Promise<void> {
  if (signal?.aborted === true) return;
  await new Promise<void>((resolve) => {
    const cancel = timers.after(ms, () => {
      signal?.removeEventListener('abort', stop);
      resolve();
    });
    const stop = (): void => {
      cancel();
      resolve();
    };
    signal?.addEventListener('abort', stop, { once: true });
  });
}
