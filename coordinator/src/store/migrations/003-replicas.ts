/** Several coordinators on one database: who they are, whose stream an agent has, messages to the owner of a run, jobs of a fold. */
import { sql, type Kysely, type Migration } from 'kysely';

const statements = [
  `create table replicas (
    id text primary key, expires_at_ms bigint not null, draining boolean not null, version text not null, started_at_ms bigint not null)`,
  `create sequence presence_sessions`,
  `create table presence (agent_id text primary key, replica_id text not null, session bigint not null)`,
  `create index presence_replica on presence (replica_id)`,
  `create table inbox (
    seq bigint generated always as identity primary key, run_id text not null references runs (id), key text not null,
    message jsonb not null, created_at_ms bigint not null, done_at_ms bigint, verdict jsonb, unique (run_id, key))`,
  `create index inbox_pending on inbox (run_id, seq) where done_at_ms is null`,
  `create index inbox_done on inbox (done_at_ms) where done_at_ms is not null`,
  `create table fold_jobs (
    fold_id text not null, place integer not null, work jsonb not null, parent integer, waits integer not null,
    lease_owner text, lease_expires_at_ms bigint, fence bigint not null, tries integer not null,
    output jsonb, failure text, done_at_ms bigint, created_at_ms bigint not null, primary key (fold_id, place))`,
  `create index fold_jobs_ready on fold_jobs (created_at_ms, fold_id, place) where done_at_ms is null and waits = 0`,
  `create table shared_marks (name text primary key, value text not null)`,
];

export const replicas: Migration = {
  up: async (db: Kysely<unknown>) => {
    for (const statement of statements) await sql.raw(statement).execute(db);
  },
};
