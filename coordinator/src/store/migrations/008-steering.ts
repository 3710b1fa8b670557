/** When agents that were sent away come back. */
import { sql, type Kysely, type Migration } from 'kysely';

export const steering: Migration = {
  up: async (db: Kysely<unknown>) => {
    await sql.raw('alter table agents add column expected_at_ms bigint').execute(db);
  },
};
