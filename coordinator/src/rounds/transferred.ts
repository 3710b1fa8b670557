/** Bytes of blobs by agent, as differences: the edge counts sums since it started, a round wants its own. */
import type { Transferred } from './machine/record.js';

/** What the edge counts. */
export interface TransferMeter {
  byAgent(): ReadonlyMap<string, { readonly up: number; readonly down: number }>;
}

/** Answers what passed since it was called last; agents of whom nothing passed are left out. */
export function transferredSince(meter: TransferMeter | undefined): () => Transferred {
  let before: ReadonlyMap<string, { readonly up: number; readonly down: number }> = meter?.byAgent() ?? new Map();
  return () => {
    const now = meter?.byAgent() ?? new Map<string, { up: number; down: number }>();
    const since = [...now].map(([id, { up, down }]) => {
      const last = before.get(id) ?? { up: 0, down: 0 };
      return [id, { up: up - last.up, down: down - last.down }] as const;
    });
    before = now;
    return Object.fromEntries(since.filter(([, { up, down }]) => up > 0 || down > 0));
  };
}
