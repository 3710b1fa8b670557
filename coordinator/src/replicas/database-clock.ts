/** The database's clock, in expressions: replicas may disagree about the time, their database does not. */
import { sql, type RawBuilder } from 'kysely';

/** Milliseconds since the Unix epoch, now. */
export const databaseNow: RawBuilder<number> = sql<number>`(extract(epoch from clock_timestamp()) * 1000)::bigint`;

/** The same, `ms` from now. */
export function databaseNowPlus(ms: number): RawBuilder<number> {
  return sql<number>`(extract(epoch from clock_timestamp()) * 1000)::bigint + ${ms}::bigint`;
}
