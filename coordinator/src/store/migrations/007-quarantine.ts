/** Agents that are not asked for a task for a time, and when they were let back before its end. */
import { sql, type Kysely, type Migration } from 'kysely';

const statements = [
  `create table quarantines (
    task_id text not null references tasks (id), agent_id text not null, reason text not null,
    since_ms bigint not null, until_ms bigint not null, times integer not null, released_at_ms bigint, primary key (task_id, agent_id))`,
  `create index quarantines_agent on quarantines (agent_id)`,
];

export const quarantine: Migration = {
  up: async (db: Kysely<unknown>) => {
    for (const statement of statements) await sql.raw(statement).execute(db);
  },
};
