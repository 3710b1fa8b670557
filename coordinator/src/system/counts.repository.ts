/** Counts for the metrics, from the store: they survive a restart. */
import { sql, type Kysely } from 'kysely';

import type { Database } from '../store/schema.js';
import type { Counts } from './metrics.adapter.js';

export function storedCounts(db: Kysely<Database>): () => Promise<Counts> {
  const count = sql<number>`count(*)::int`.as('count');
  return async () => {
    const status = sql<string>`state -> 'machine' ->> 'status'`;
    const runs = await db
      .selectFrom('runs')
      .select([status.as('value'), count])
      .groupBy(status)
      .execute();
    const rounds = await db.selectFrom('rounds').select(['phase as value', count]).groupBy('phase').execute();
    const updates = await db.selectFrom('updates').select(['reason as value', count]).groupBy('reason').execute();
    return { runs: byValue(runs), rounds: byValue(rounds), updates: byValue(updates) };
  };
}

function byValue(rows: readonly { readonly value: string | null; readonly count: number }[]): Record<string, number> {
  return Object.fromEntries(rows.map(({ value, count }) => [value ?? '', count]));
}
