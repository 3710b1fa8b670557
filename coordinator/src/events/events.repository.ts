/** The events of the store. */
import type { Kysely } from 'kysely';

import type { Database } from '../store/schema.js';
import type { StoredEvent } from './event-feed.js';

export function storedEvents(db: Kysely<Database>): (after: number, limit: number) => Promise<readonly StoredEvent[]> {
  return async (after, limit) => {
    const rows = await db
      .selectFrom('events')
      .select(['seq', 'at_ms', 'kind', 'run_id', 'data'])
      .where('seq', '>', after)
      .orderBy('seq')
      .limit(limit)
      .execute();
    return rows.map(({ seq, at_ms, kind, run_id, data }) => ({
      seq,
      atMs: at_ms,
      kind,
      ...(run_id !== null && { runId: run_id }),
      data: Object(data) as Record<string, unknown>,
    }));
  };
}
