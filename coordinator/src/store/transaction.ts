/** Transactions that are tried again where PostgreSQL asks for it, or where the connection was lost before they were committed. */
import type { Kysely, Transaction } from 'kysely';

import { GraftError } from '@graft/core/error';

import { isConnectionLoss, sqlStateOf } from './connection-loss.js';
import { pauseBefore } from './pause.adapter.js';
import type { Database } from './schema.js';

/** serialization_failure and deadlock_detected: the same transaction may succeed now. */
const retryable: ReadonlySet<string> = new Set(['40001', '40P01']);
const attempts = 8;
const backoff = { firstMs: 20, longestMs: 1_000 };
/** A server that restarts or fails over is away for seconds. */
const lossBackoff = { firstMs: 200, longestMs: 3_000 };

/** disk_full. */
const full = '53100';

/**
 * Runs `body` in one transaction. Everything in it must use the transaction that it is given, and have no effect outside of it.
 * A connection that breaks while the commit is under way is not tried again: nobody knows whether it was stored.
 * Throws DISK_FULL where the database has no space left; nothing is stored then.
 */
export async function inTransaction<T>(
  db: Kysely<Database>,
  body: (transaction: Transaction<Database>) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    let isCommitting = false;
    try {
      return await db.transaction().execute(async (transaction) => {
        const result = await body(transaction);
        isCommitting = true;
        return result;
      });
    } catch (error) {
      if (sqlStateOf(error) === full)
        throw new GraftError('DISK_FULL', 'no space is left for the database', { cause: error });
      const isLoss = !isCommitting && isConnectionLoss(error);
      if (attempt >= attempts || !(isLoss || retryable.has(sqlStateOf(error)))) throw error;
      await pauseBefore(isLoss ? lossBackoff : backoff, attempt);
    }
  }
}
