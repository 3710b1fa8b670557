/**
 * Deltas as agents ask for them: made once for a pair of checkpoints, however many agents ask at once, and kept.
 * Whoever cannot have one in time gets the whole.
 */
import type { Clock, Timers } from '@graft/core/clock';
import type { BlobRef } from '@graft/models/pipeline/pipeline';

import type { BlobStore } from '../blobs/blob-store.js';
import type { Log } from '../server/log.js';
import type { Delta, Deltas } from './deltas.js';
import type { MadeDelta, MakeDelta } from './make-delta.adapter.js';

/** What is known of pairs of checkpoints; a port. */
export interface DeltaStore {
  /** Undefined where the pair is not known; 'whole' where the delta is not worth it. */
  get(from: string, to: string): Promise<BlobRef | 'whole' | undefined>;
  put(from: string, to: string, delta: BlobRef | 'whole'): Promise<void>;
}

export interface DeltaPorts extends Clock, Timers {
  readonly blobs: Pick<BlobStore, 'has'>;
  readonly store: DeltaStore;
  /** In a worker. */
  readonly make: (pair: MakeDelta) => Promise<MadeDelta>;
  readonly log: Log;
}

/** What is smaller travels whole: it is there before a delta would be made. */
const leastBytes = 256 << 10;

/** How long an agent waits for a delta that is being made. */
const waitMs = 20_000;

/** Pairs that are made or wait for it at the same time; agents that ask for more get the whole. */
const mostPending = 4;

export function createDeltas(ports: DeltaPorts): Deltas {
  const { blobs, store, make, log } = ports;
  const pending = new Map<string, Promise<BlobRef | 'whole'>>();

  const known = async (from: string, to: string): Promise<BlobRef | 'whole' | undefined> => {
    const delta = await store.get(from, to);
    if (delta === undefined || delta === 'whole') return delta;
    return (await blobs.has(delta.hash)) === delta.sizeBytes ? delta : undefined;
  };

  const made = async (from: BlobRef, to: BlobRef): Promise<BlobRef | 'whole'> => {
    const startedAtMs = ports.nowMs();
    const answer = await make({ from, to });
    const delta = 'delta' in answer ? answer.delta : 'whole';
    await store.put(from.hash, to.hash, delta);
    const sizeBytes = delta === 'whole' ? to.sizeBytes : delta.sizeBytes;
    log.info(
      { from: from.hash, to: to.hash, wholeBytes: to.sizeBytes, sizeBytes, ms: ports.nowMs() - startedAtMs },
      'delta made',
    );
    return delta;
  };

  const once = (from: BlobRef, to: BlobRef): Promise<BlobRef | 'whole'> | undefined => {
    const key = `${from.hash} ${to.hash}`;
    const running = pending.get(key);
    if (running !== undefined || pending.size >= mostPending) return running;
    const started = made(from, to).finally(() => pending.delete(key));
    pending.set(key, started);
    return started;
  };

  return {
    find: async (bases, to) => {
      if (to.sizeBytes < leastBytes) return undefined;
      const unknown: string[] = [];
      for (const from of bases) {
        const delta = await known(from, to.hash);
        if (delta === undefined) unknown.push(from);
        else if (delta !== 'whole') return { from, blob: delta };
      }
      for (const from of unknown) {
        if ((await blobs.has(from)) !== to.sizeBytes) continue;
        const making = once({ hash: from, sizeBytes: to.sizeBytes }, to);
        return making && inTime(ports, making, from);
      }
      return undefined;
    },
  };
}

/** The delta, unless it takes too long or fails: then the whole, and the next agent has another chance. */
async function inTime(
  { log, ...timers }: DeltaPorts,
  making: Promise<BlobRef | 'whole'>,
  from: string,
): Promise<Delta | undefined> {
  let cancel = (): void => undefined;
  const tooLate = new Promise<'whole'>((resolve) => (cancel = timers.after(waitMs, () => resolve('whole'))));
  try {
    const delta = await Promise.race([making, tooLate]);
    return delta === 'whole' ? undefined : { from, blob: delta };
  } catch (error) {
    log.warn({ err: error, from }, 'a delta could not be made; the agent gets the whole');
    return undefined;
  } finally {
    cancel();
    // One that fails after nobody waits for it is of no interest any more.
    making.catch(() => undefined);
  }
}
