/**
 * The audit log: append-only, each row's hash covers the row before, so that a change or a gap shows. How many rows there are and the
 * hash of the last one stand in a table of their own, so that an end that was cut off shows too.
 */
import { createHash } from 'node:crypto';

import type { Kysely, Transaction } from 'kysely';

import type { Database } from './schema.js';

type Details = Readonly<Record<string, string | number>>;

const chain = (previous: string, atMs: number, action: string, details: string): string =>
  createHash('sha256')
    .update(JSON.stringify([previous, atMs, action, details]))
    .digest('hex');

/** Sorted keys: the database does not keep their order. */
const canonical = (details: unknown): string =>
  JSON.stringify(Object.entries(Object(details) as Details).sort(([a], [b]) => (a < b ? -1 : 1)));

/** Appends a row. Within a transaction, so that the rows before and after stand in line. */
export async function appendAudit(
  db: Transaction<Database>,
  row: { readonly atMs: number; readonly action: string; readonly details: Details },
): Promise<void> {
  // Whoever holds the head appends; the others wait.
  const head = await db.selectFrom('audit_head').select(['hash', 'row_count']).forUpdate().executeTakeFirstOrThrow();
  const hash = chain(head.hash, row.atMs, row.action, canonical(row.details));
  await db
    .updateTable('audit_head')
    .set({ hash, row_count: head.row_count + 1 })
    .execute();
  await db
    .insertInto('audit')
    .values({ at_ms: row.atMs, action: row.action, details: JSON.stringify(row.details), hash })
    .execute();
}

/** How many rows the log should have, and the hash of the last: to be noted where the database's administrator cannot change it. */
export async function auditHead(db: Kysely<Database>): Promise<{ readonly rows: number; readonly hash: string }> {
  const { row_count, hash } = await db.selectFrom('audit_head').selectAll().executeTakeFirstOrThrow();
  return { rows: row_count, hash };
}

/**
 * The number of the first row whose hash does not fit the rows before it, or that is missing at the end; undefined where the log is whole.
 * Read in one transaction, so that rows which are appended meanwhile do not count.
 */
export async function firstBrokenAudit(db: Kysely<Database>): Promise<number | undefined> {
  return db.isTransaction ? brokenIn(db) : db.transaction().setIsolationLevel('repeatable read').execute(brokenIn);
}

async function brokenIn(db: Kysely<Database>): Promise<number | undefined> {
  let previous = '';
  let count = 0;
  let last = 0;
  for (const { seq, at_ms, action, details, hash } of await db
    .selectFrom('audit')
    .selectAll()
    .orderBy('seq')
    .execute()) {
    if (hash !== chain(previous, at_ms, action, canonical(details))) return seq;
    previous = hash;
    last = seq;
    count++;
  }
  const head = await auditHead(db);
  return head.rows === count && head.hash === previous ? undefined : last + 1;
}
