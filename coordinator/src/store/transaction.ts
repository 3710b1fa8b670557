/** Transactions that are tried again where PostgreSQL asks for it. */
import type { Kysely, Transaction } from 'kysely';

import { GraftError } from '@graft/core/error';

import type { Database } from './schema.js';

/** serialization_failure and deadlock_detected: the same transaction may succeed now. */
const retryable: ReadonlySet<string> = new Set(['40001', '40P01']);
const attempts = 5;

const codeOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';

/** disk_full. */
const full = '53100';

/**
 * Runs `body` in one transaction. Everything in it must use the transaction that it is given, and have no effect outside of it.
 * Throws DISK_FULL where the database has no space left; nothing is stored then.
 */
export async function inTransaction<T>(
  db: Kysely<Database>,
  body: (transaction: Transaction<Database>) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await db.transaction().execute(body);
    } catch (error) {
      if (codeOf(error) === full)
        throw new GraftError('DISK_FULL', 'no space is left for the database', { cause: error });
      if (attempt >= attempts || !retryable.has(codeOf(error))) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10 * 2 ** attempt));
    }
  }
}
