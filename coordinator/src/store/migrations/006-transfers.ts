/** Deltas between checkpoints that have been made. */
import { sql, type Kysely, type Migration } from 'kysely';

const statements = [
  `create table deltas (
    from_hash text not null, to_hash text not null, delta jsonb, created_at_ms bigint not null, primary key (from_hash, to_hash))`,
  `create index deltas_created on deltas (created_at_ms)`,
  `create index instructions_of_agent on instructions (agent_id, created_at_ms)`,
];

export const transfers: Migration = {
  up: async (db: Kysely<unknown>) => {
    for (const statement of statements) await sql.raw(statement).execute(db);
  },
};
