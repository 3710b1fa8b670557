/** Answers to repeated requests in the database: any replica gives them again, also after a restart. */
import type { Kysely } from 'kysely';

import type { Database } from '../store/schema.js';
import { answerKeptMs, type AnswerStore } from './idempotency.js';

/** A request that is worked on for longer belongs to a process that died: it may be tried again. */
const longestRequestMs = 10 * 60_000;
/** Larger answers are not kept; their requests are then done again. */
const longestBody = 256 << 10;
/** Expired answers that one request removes: more than one, so that they never pile up. */
const removedAtOnce = 5;

export function storedAnswers(db: Kysely<Database>): AnswerStore {
  return {
    begin: async ({ id, requestHash }, atMs) => {
      const expired = db
        .selectFrom('answers')
        .select('id')
        .where('at_ms', '<', atMs - answerKeptMs)
        .orderBy('at_ms')
        .limit(removedAtOnce);
      await db.deleteFrom('answers').where('id', 'in', expired).execute();
      const begun = await db
        .insertInto('answers')
        .values({ id, request_hash: requestHash, at_ms: atMs })
        .onConflict((on) =>
          on
            .column('id')
            .doUpdateSet({ request_hash: requestHash, at_ms: atMs, status: null, body: null })
            .where((each) =>
              each.or([
                each('answers.at_ms', '<', atMs - answerKeptMs),
                each.and([each('answers.status', 'is', null), each('answers.at_ms', '<', atMs - longestRequestMs)]),
              ]),
            ),
        )
        .returning('id')
        .executeTakeFirst();
      if (begun !== undefined) return undefined;
      const earlier = await db.selectFrom('answers').selectAll().where('id', '=', id).executeTakeFirst();
      // It failed at this moment: the caller may try again.
      if (earlier === undefined) return { requestHash };
      const { request_hash, status, body } = earlier;
      return {
        requestHash: request_hash,
        ...(status !== null && body !== null && { answer: { status, body } }),
      };
    },
    finish: async ({ id }, { status, body }) => {
      if (body.length > longestBody) await db.deleteFrom('answers').where('id', '=', id).execute();
      else await db.updateTable('answers').set({ status, body }).where('id', '=', id).execute();
    },
    forget: async ({ id }) => {
      await db.deleteFrom('answers').where('id', '=', id).execute();
    },
  };
}
