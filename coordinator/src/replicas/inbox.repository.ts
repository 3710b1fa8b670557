/** The inbox over the database. */
import { sql, type Kysely, type Transaction } from 'kysely';

import { GraftError } from '@graft/core/error';

import type { Answer, Letter, RunMessage } from '../rounds/run-message.js';
import type { Database } from '../store/schema.js';
import { inTransaction } from '../store/transaction.js';
import { databaseNow, databaseNowPlus } from './database-clock.js';
import type { Inbox } from './inbox.js';
import { notify } from './notify.repository.js';

/** Messages that are read at once. */
const pageSize = 200;

export function inboxRepository(db: Kysely<Database>): Inbox {
  return {
    put: (runId, key, message) =>
      inTransaction(db, async (transaction) => {
        const values = { message: JSON.stringify(message), done_at_ms: null, verdict: null };
        const put = await transaction
          .insertInto('inbox')
          .values({ run_id: runId, key, ...values, created_at_ms: databaseNow })
          .onConflict((on) =>
            on.columns(['run_id', 'key']).doUpdateSet(values).where('inbox.done_at_ms', 'is not', null),
          )
          .returning('seq')
          .executeTakeFirst();
        const row =
          put ??
          (await transaction
            .selectFrom('inbox')
            .select('seq')
            .where('run_id', '=', runId)
            .where('key', '=', key)
            .executeTakeFirstOrThrow());
        await notify(transaction, 'inbox', { runId });
        return row.seq;
      }),
    waiting: async (runIds) => {
      if (runIds.length === 0) return [];
      const rows = await db
        .selectFrom('inbox')
        .select(['seq', 'run_id', 'message'])
        .where('run_id', 'in', [...runIds])
        .where('done_at_ms', 'is', null)
        .orderBy('seq')
        .limit(pageSize)
        .execute();
      return rows.map(({ seq, run_id, message }): Letter => ({ seq, runId: run_id, message: message as RunMessage }));
    },
    answer: ({ runId, fence }, seq, answer) =>
      inTransaction(db, async (transaction) => {
        // The row of the run stays as it is until this is stored: whoever takes the run over waits for it.
        const owned = await transaction
          .selectFrom('runs')
          .select('id')
          .where('id', '=', runId)
          .where('fence', '=', fence)
          .forUpdate()
          .executeTakeFirst();
        if (owned === undefined)
          throw new GraftError('LEASE_LOST', `run ${runId} has another owner than fence ${fence}`);
        await writeAnswer(transaction, seq, answer);
      }),
    answerOf: async (seq) => {
      const row = await db
        .selectFrom('inbox')
        .select(['done_at_ms', 'verdict'])
        .where('seq', '=', seq)
        .executeTakeFirst();
      if (row === undefined || row.done_at_ms === null) return undefined;
      return row.verdict === null ? {} : { verdict: row.verdict as NonNullable<Answer['verdict']> };
    },
    purge: async (olderThanMs) => {
      await db.deleteFrom('inbox').where('done_at_ms', '<', databaseNowPlus(-olderThanMs)).execute();
      await db
        .deleteFrom('inbox')
        .where('created_at_ms', '<', databaseNowPlus(-olderThanMs))
        .where('run_id', 'in', (from) => from.selectFrom('runs').select('id').where('open', '=', false))
        .execute();
    },
  };
}

/** Writes what came of a message, in the transaction that stores it. */
export async function writeAnswer(db: Transaction<Database>, seq: number, { verdict }: Answer): Promise<void> {
  await db
    .updateTable('inbox')
    .set({ done_at_ms: databaseNow, verdict: verdict === undefined ? null : JSON.stringify(verdict) })
    .where('seq', '=', seq)
    .execute();
  await notify(db, 'answer', { seq });
}

/** Calls out, at the commit, what a step of a run has changed for others. */
export async function notifyStep(
  db: Transaction<Database>,
  step: { readonly wake: readonly string[]; readonly events: number },
): Promise<void> {
  const { wake, events } = step;
  const signals = [...inWakes(wake), ...(events > 0 ? [JSON.stringify(['event', {}])] : [])];
  if (signals.length === 0) return;
  await sql`select pg_notify('graft_replicas', payload) from unnest(${signals}::text[]) as payload`.execute(db);
}

function inWakes(agentIds: readonly string[]): string[] {
  const parts: string[] = [];
  for (let at = 0; at < agentIds.length; at += 100) {
    parts.push(JSON.stringify(['wake', { agentIds: agentIds.slice(at, at + 100) }]));
  }
  return parts;
}
