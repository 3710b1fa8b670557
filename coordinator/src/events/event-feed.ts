/** The events of the store for those who watch: first what was, then what comes, in order and without gaps. */
import { z } from 'zod';

import type { Log } from '../server/log.js';

export const eventSchema = z
  .object({
    seq: z.int(),
    atMs: z.int(),
    kind: z.string(),
    runId: z.string().optional(),
    data: z.record(z.string(), z.unknown()),
  })
  .meta({ id: 'Event' });

export type StoredEvent = z.infer<typeof eventSchema>;

export interface EventFeed {
  /** Every event after `after`, until the signal aborts or the feed closes; undefined after each silence of `heartbeatMs`. */
  follow(after: number, signal: AbortSignal): AsyncGenerator<StoredEvent | undefined>;
  /** Ends all followers. */
  close(): void;
}

export interface EventFeedPorts {
  /** Events with a greater number, in order, at most `limit`. */
  read(after: number, limit: number): Promise<readonly StoredEvent[]>;
  /** Resolves after `ms`, or as soon as the signal aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  readonly log: Log;
}

export interface EventFeedTimes {
  readonly pollMs: number;
  readonly heartbeatMs: number;
}

const pageSize = 500;

/**
 * How far a reader looks back: on PostgreSQL a transaction that took its number first may commit last.
 * More events than this inside one transaction's lifetime are not made.
 */
const lookBack = 64;

export function eventFeed(
  ports: EventFeedPorts,
  times: EventFeedTimes = { pollMs: 200, heartbeatMs: 15_000 },
): EventFeed {
  const closing = new AbortController();
  async function* follow(after: number, signal: AbortSignal): AsyncGenerator<StoredEvent | undefined> {
    const ended = AbortSignal.any([signal, closing.signal]);
    let last = after;
    let silentMs = 0;
    let seen = new Set<number>();
    while (!ended.aborted) {
      const page = await ports.read(Math.max(after, last - lookBack), pageSize + lookBack);
      const fresh = page.filter(({ seq }) => !seen.has(seq));
      for (const event of fresh) {
        last = Math.max(last, event.seq);
        yield event;
        if (ended.aborted) return;
      }
      seen = new Set(page.map(({ seq }) => seq).filter((seq) => seq > last - lookBack));
      if (fresh.length > 0) {
        silentMs = 0;
        if (fresh.length >= pageSize) continue;
      }
      await ports.sleep(times.pollMs, ended);
      silentMs += times.pollMs;
      if (silentMs >= times.heartbeatMs) {
        silentMs = 0;
        yield undefined;
      }
    }
  }
  return { follow, close: () => closing.abort() };
}
