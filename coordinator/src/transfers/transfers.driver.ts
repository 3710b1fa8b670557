/** What transfers need beside the calls themselves: a worker for deltas, and a sweep of what nobody finishes. */
import type { Kysely } from 'kysely';

import type { Clock, Timers } from '@graft/core/clock';
import type { SweepLimits } from '@graft/protos/transfer/partials';

import type { BlobStore } from '../blobs/blob-store.js';
import { lending, type WorkerFiles } from '../blobs/worker-files.js';
import { callHost, threadChannel } from '../compute/call-host.driver.js';
import type { Log } from '../server/log.js';
import type { Database } from '../store/schema.js';
import { createDeltas } from './create-deltas.js';
import { deltaStore, forgetDeltas } from './deltas.repository.js';
import type { Deltas } from './deltas.js';
import type { MadeDelta } from './make-delta.adapter.js';

export interface Transfers {
  readonly deltas: Deltas;
  close(): Promise<void>;
}

export interface TransfersOptions {
  readonly db: Kysely<Database>;
  readonly blobs: BlobStore;
  readonly files: WorkerFiles;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
}

const hourMs = 3_600_000;

/** Partial uploads: a day to come back, 50 GB for all of them together. */
const partials: Omit<SweepLimits, 'atMs'> = { maxAgeMs: 24 * hourMs, maxBytes: 50_000_000_000, graceMs: hourMs / 6 };

/** A checkpoint that is older is no base that an agent still has, or one round in a week. */
const deltaMs = 7 * 24 * hourMs;
const sweepEveryMs = hourMs / 6;

export function startTransfers({ db, blobs, files, clock, timers, log }: TransfersOptions): Transfers {
  const file = new URL('./delta.main.js', import.meta.url);
  const { directory: blobDirectory } = files;
  const worker = lending(
    files,
    callHost('the thread for deltas', () => threadChannel(file, { blobDirectory }), log),
  );
  const sweep = async (): Promise<void> => {
    const atMs = clock.nowMs();
    const swept = await blobs.sweepPartials({ ...partials, atMs });
    const forgotten = await forgetDeltas(db, blobs, atMs - deltaMs);
    if (swept.count + forgotten > 0) log.info({ ...swept, deltas: forgotten }, 'swept what nobody finished');
  };
  let cancel = (): void => undefined;
  let isOver = false;
  const sweepAndRepeat = (): void => {
    sweep()
      .catch((error: unknown) => log.warn({ err: error }, 'partial uploads could not be swept'))
      .finally(() => {
        if (!isOver) cancel = timers.after(sweepEveryMs, sweepAndRepeat);
      });
  };
  cancel = timers.after(0, sweepAndRepeat);
  return {
    deltas: createDeltas({
      nowMs: () => clock.nowMs(),
      after: (ms, run) => timers.after(ms, run),
      blobs,
      store: deltaStore(db, clock),
      make: (pair) => worker.call('delta', pair) as Promise<MadeDelta>,
      log,
    }),
    close: async () => {
      isOver = true;
      cancel();
      await worker.close();
    },
  };
}
