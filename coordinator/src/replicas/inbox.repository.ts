/** The inbox over the database. */
import type { Kysely, Transaction } from 'kysely';

import { decodeUpdateManifest } from '@graft/protos/message-codec.adapter';

import type { Answer, Letter, RunMessage, UpdateMessage } from '../rounds/run-message.js';
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
        const values = { message: encode(message), done_at_ms: null, verdict: null };
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
      return rows.map(({ seq, run_id, message }): Letter => ({ seq, runId: run_id, message: decode(message) }));
    },
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

/** The signed bytes of an update stand for its manifest. */
function encode(message: RunMessage): string {
  if (message.kind !== 'update') return JSON.stringify(message);
  const { manifest: _, bytes, ...rest } = message;
  return JSON.stringify({ ...rest, bytes: Buffer.from(bytes).toString('base64') });
}

function decode(stored: unknown): RunMessage {
  const message = stored as
    Exclude<RunMessage, { kind: 'update' }> | (Omit<UpdateMessage, 'bytes'> & { bytes: string });
  if (message.kind !== 'update') return message;
  const bytes = Uint8Array.from(Buffer.from(message.bytes, 'base64'));
  return { ...message, bytes, manifest: decodeUpdateManifest(bytes) };
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
