/**
 * The blobs that the database needs: every sha256 in hex that stands anywhere in it, in JSON, text or bytes, but for the columns below, which
 * only report what was. So a table that is added later keeps its blobs without a word here. What is no blob's hash names nothing, and harms nothing.
 */
import { sql, type Kysely } from 'kysely';

import type { Database } from '../store/schema.js';

/** Columns that name blobs which nobody needs for that. */
const reports: ReadonlySet<string> = new Set([
  'audit.details',
  'audit.hash',
  'events.data',
  'rounds.record',
  'answers.body',
  'deltas.from_hash',
  'deltas.to_hash',
  'answers.id',
  'answers.request_hash',
  'api_keys.hash',
  'enrolment_tokens.hash',
]);

interface Column {
  readonly name: string;
  readonly table: string;
  readonly type: string;
}

export async function namedBlobs(db: Kysely<Database>): Promise<Set<string>> {
  const { rows: columns } = await sql<Column>`
    select table_name as "table", column_name as name, data_type as type from information_schema.columns
    where table_schema = current_schema() and data_type in ('jsonb', 'json', 'text', 'bytea')
    order by table_name, ordinal_position`.execute(db);
  const named = new Set<string>();
  for (const { table, name, type } of columns) {
    if (reports.has(`${table}.${name}`) || table.startsWith('kysely_')) continue;
    const text = type === 'bytea' ? sql`encode(${sql.ref(name)}, 'escape')` : sql`${sql.ref(name)}::text`;
    const { rows } = await sql<{ hash: string }>`
      select distinct m[1] as hash from ${sql.table(table)}, regexp_matches(${text}, '[0-9a-f]{64}', 'g') as m`.execute(
      db,
    );
    for (const { hash } of rows) named.add(hash);
  }
  return named;
}
