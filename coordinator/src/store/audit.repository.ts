/** The audit log: append-only, each row's hash covers the row before, so that a change or a gap shows. */
import { createHash } from 'node:crypto';

import { sql, type Kysely, type Transaction } from 'kysely';

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
  await sql`lock table audit in exclusive mode`.execute(db);
  const last = await db.selectFrom('audit').select('hash').orderBy('seq', 'desc').limit(1).executeTakeFirst();
  const hash = chain(last?.hash ?? '', row.atMs, row.action, canonical(row.details));
  await db
    .insertInto('audit')
    .values({ at_ms: row.atMs, action: row.action, details: JSON.stringify(row.details), hash })
    .execute();
}

/** The first row whose hash does not fit the rows before it, or undefined where the log is whole. */
export async function firstBrokenAudit(db: Kysely<Database>): Promise<number | undefined> {
  let previous = '';
  for (const { seq, at_ms, action, details, hash } of await db
    .selectFrom('audit')
    .selectAll()
    .orderBy('seq')
    .execute()) {
    if (hash !== chain(previous, at_ms, action, canonical(details))) return seq;
    previous = hash;
  }
  return undefined;
}
