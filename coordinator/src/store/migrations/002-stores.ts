/** Answers to repeated requests, and the head of the audit log in a second place: rows that are cut off its end show. */
import { sql, type Kysely, type Migration } from 'kysely';

const statements = [
  `create table answers (
    id text primary key, request_hash text not null, at_ms bigint not null, status integer, body text)`,
  `create index answers_at on answers (at_ms)`,
  `create table audit_head (id integer primary key check (id = 1), row_count bigint not null, hash text not null)`,
  `insert into audit_head select 1, count(*), coalesce((select hash from audit order by seq desc limit 1), '') from audit`,
];

export const stores: Migration = {
  up: async (db: Kysely<unknown>) => {
    for (const statement of statements) await sql.raw(statement).execute(db);
  },
};
