/** The first schema. */
import { sql, type Kysely, type Migration } from 'kysely';

const statements = [
  `create table api_keys (
    id text primary key, name text not null, role text not null, hash text not null unique,
    created_at_ms bigint not null, revoked_at_ms bigint)`,
  `create table agents (
    id text primary key, name text not null, state text not null,
    signing_key bytea not null, agreement_key bytea not null, certificate text not null,
    version text, capabilities jsonb, created_at_ms bigint not null, last_seen_at_ms bigint)`,
  `create unique index agents_name on agents (name) where state <> 'revoked'`,
  `create table enrolment_tokens (
    id text primary key, name text not null, hash text not null unique, needs_approval boolean not null,
    created_at_ms bigint not null, expires_at_ms bigint not null, used_at_ms bigint, revoked_at_ms bigint, agent_id text)`,
  `create table models (
    id text primary key, name text not null unique, card jsonb not null, graph jsonb not null, weights jsonb not null,
    created_at_ms bigint not null)`,
  `create table tasks (
    id text primary key, name text not null unique, kind text not null, spec jsonb not null, pipeline jsonb,
    layout_hash text not null, parameter_count bigint not null, weights jsonb not null, fp16 jsonb not null, created_at_ms bigint not null)`,
  `create table runs (
    id text primary key, task_id text not null references tasks (id), open boolean not null, state jsonb not null,
    version bigint not null, lease_owner text, lease_expires_at_ms bigint, fence bigint not null, created_at_ms bigint not null)`,
  `create index runs_open on runs (id) where open`,
  `create index runs_task on runs (task_id)`,
  `create table rounds (
    run_id text not null references runs (id), round integer not null, phase text not null,
    started_at_ms bigint not null, finished_at_ms bigint, record jsonb not null, primary key (run_id, round))`,
  `create table outbox (
    seq bigint generated always as identity primary key, run_id text not null references runs (id), effect jsonb not null,
    created_at_ms bigint not null, done_at_ms bigint)`,
  `create index outbox_undone on outbox (run_id, seq) where done_at_ms is null`,
  `create table updates (
    run_id text not null references runs (id), round integer not null, agent_id text not null, nonce text not null,
    accepted boolean not null, reason text not null, manifest bytea not null, ciphertext jsonb not null,
    example_count bigint not null, received_at_ms bigint not null, primary key (run_id, round, agent_id, nonce))`,
  `create table checkpoints (
    run_id text not null references runs (id), round integer not null, weights jsonb not null, fp16 jsonb not null,
    created_at_ms bigint not null, primary key (run_id, round))`,
  `create table releases (
    id text primary key, task_id text not null references tasks (id), run_id text not null references runs (id), round integer not null,
    precision text not null, manifest bytea not null, signature bytea not null, measures jsonb not null, created_at_ms bigint not null)`,
  `create index releases_task on releases (task_id, created_at_ms)`,
  `create table instructions (
    id text primary key, agent_id text not null, run_id text not null references runs (id), round integer not null, kind text not null,
    payload bytea not null, created_at_ms bigint not null, settled_at_ms bigint)`,
  `create index instructions_unsettled on instructions (agent_id, created_at_ms) where settled_at_ms is null`,
  `create table audit (
    seq bigint generated always as identity primary key, at_ms bigint not null, action text not null, details jsonb not null, hash text not null)`,
  `create table events (
    seq bigint generated always as identity primary key, at_ms bigint not null, kind text not null, run_id text, data jsonb not null)`,
];

export const tables: Migration = {
  up: async (db: Kysely<unknown>) => {
    for (const statement of statements) await sql.raw(statement).execute(db);
  },
};
