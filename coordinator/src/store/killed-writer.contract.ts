/**
 * A process that opens the embedded store in a directory, says what it finds, and writes for ever: one transaction after another,
 * each acknowledged on standard output once it is committed. Specs kill it.
 */
import { writeSync } from 'node:fs';

import { sql } from 'kysely';

import { GraftError } from '@graft/core/error';

import { appendAudit, firstBrokenAudit } from './audit.repository.js';
import { openStore, type Store } from './open-store.driver.js';
import { inTransaction } from './transaction.js';

/** The first line: what was found, or why the store could not be opened. */
export type Found = { readonly numbers: readonly number[]; readonly whole: boolean } | { readonly refused: string };

/** Synchronous: a line that was read by another process was written after its commit. */
const say = (line: unknown): unknown => writeSync(1, `${JSON.stringify(line)}\n`);

async function found({ db }: Store): Promise<{ readonly numbers: readonly number[]; readonly whole: boolean }> {
  const events = await db.selectFrom('events').select('at_ms').orderBy('seq').execute();
  const audit = await db.selectFrom('audit').select('at_ms').orderBy('seq').execute();
  const numbers = events.map(({ at_ms }) => at_ms);
  const same = JSON.stringify(audit.map(({ at_ms }) => at_ms)) === JSON.stringify(numbers);
  return { numbers, whole: same && (await firstBrokenAudit(db)) === undefined };
}

/** Both rows or none. */
async function write({ db }: Store, number: number): Promise<void> {
  await inTransaction(db, async (transaction) => {
    const data = JSON.stringify({ filler: 'x'.repeat((number * 37) % 5_000) });
    await transaction.insertInto('events').values({ at_ms: number, kind: 'written', data }).execute();
    await appendAudit(transaction, { atMs: number, action: 'written', details: {} });
  });
  if (number % 25 === 0) await sql`checkpoint`.execute(db);
}

try {
  const store = await openStore({ kind: 'embedded', directory: process.argv[2] ?? '' });
  const before = await found(store);
  say(before);
  for (let number = (before.numbers.at(-1) ?? 0) + 1; ; number++) {
    await write(store, number);
    say(number);
  }
} catch (error) {
  say({ refused: error instanceof GraftError ? `${error.code} ${error.message}` : String(error) });
}
