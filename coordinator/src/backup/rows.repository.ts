/**
 * The rows of a database as lines of JSON, written and read by PostgreSQL itself, so that bytes, big numbers and JSON come back as they were,
 * on the embedded database and on a server alike.
 */
import { sql, type Kysely, type Transaction } from 'kysely';

import { appliedMigrations } from '../store/migrate.repository.js';
import type { Database } from '../store/schema.js';

/** Rows that are in memory at a time. */
const batch = 200;

/** Rows of these belong to processes that run, to the stores where they run, and to the migrator. */
const leftOut = (table: string): boolean =>
  ['replicas', 'presence', 'shared_marks'].includes(table) || table.startsWith('kysely_');

/** Tables in an order in which every reference points backwards. */
async function tablesOf(db: Kysely<Database>): Promise<string[]> {
  const { rows } = await sql<{ name: string; needs: string[] | null }>`
    select c.relname as name, (
      select array_agg(distinct f.relname::text) from pg_constraint k join pg_class f on f.oid = k.confrelid
      where k.conrelid = c.oid and k.contype = 'f' and f.oid <> c.oid) as needs
    from pg_class c where c.relkind = 'r' and c.relnamespace = current_schema()::regnamespace order by c.relname`.execute(
    db,
  );
  const waiting = new Map(rows.filter(({ name }) => !leftOut(name)).map(({ name, needs }) => [name, needs ?? []]));
  const ordered: string[] = [];
  while (waiting.size > 0) {
    const next =
      [...waiting].find(([, needs]) => needs.every((need) => !waiting.has(need)))?.[0] ?? [...waiting.keys()][0];
    if (next === undefined) break;
    ordered.push(next);
    waiting.delete(next);
  }
  return ordered;
}

export interface RowsHeader {
  /** Migrations of the database, in order. */
  readonly schema: readonly string[];
}

/**
 * All rows as they were at one moment: first a header, then for each table its name and its rows.
 * @param db a transaction that reads one snapshot
 */
export async function* exportRows(db: Transaction<Database>): AsyncGenerator<string> {
  const header: RowsHeader = { schema: await appliedMigrations(db) };
  yield JSON.stringify(header);
  for (const table of await tablesOf(db)) {
    yield JSON.stringify({ table });
    await sql`declare backup_rows no scroll cursor for select row_to_json(t)::text as line from ${sql.table(table)} t`.execute(
      db,
    );
    for (;;) {
      const { rows } = await sql<{ line: string }>`fetch ${sql.lit(batch)} from backup_rows`.execute(db);
      for (const { line } of rows) yield line;
      if (rows.length < batch) break;
    }
    await sql`close backup_rows`.execute(db);
  }
}

/** Fills a database that has the schema of the header, and whose tables are empty. Answers how many rows there were. */
export async function importRows(db: Transaction<Database>, lines: AsyncIterable<string>): Promise<number> {
  let table = '';
  let rows: string[] = [];
  let count = 0;
  const flush = async (): Promise<void> => {
    if (rows.length === 0) return;
    const all = `[${rows.join(',')}]`;
    await sql`insert into ${sql.table(table)} overriding system value
      select * from json_populate_recordset(null::${sql.table(table)}, ${all}::json)`.execute(db);
    count += rows.length;
    rows = [];
  };
  // What the schema itself put there comes with the rows.
  await sql`delete from audit_head`.execute(db);
  for await (const line of lines) {
    const name = /^\{"table":"([a-z_]+)"\}$/u.exec(line)?.[1];
    if (name === undefined) rows.push(line);
    if (name !== undefined || rows.length >= batch) await flush();
    table = name ?? table;
  }
  await flush();
  await moveSequences(db);
  return count;
}

/** The next number that a table gives itself follows the largest it has. */
async function moveSequences(db: Transaction<Database>): Promise<void> {
  const { rows } = await sql<{ table: string; column: string }>`
    select table_name as "table", column_name as "column" from information_schema.columns
    where table_schema = current_schema() and is_identity = 'YES'`.execute(db);
  for (const { table, column } of rows) {
    await sql`select setval(pg_get_serial_sequence(${table}, ${column}), coalesce(max(${sql.ref(column)}), 0) + 1, false)
      from ${sql.table(table)}`.execute(db);
  }
}
