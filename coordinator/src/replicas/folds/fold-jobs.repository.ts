/** Jobs of folds over the database. */
import { sql, type Kysely, type Transaction } from 'kysely';

import { GraftError } from '@graft/core/error';
import { blobRefSchema } from '@graft/models/pipeline/pipeline';

import type { Lease } from '../../rounds/engine-store.js';
import type { Database } from '../../store/schema.js';
import { inTransaction } from '../../store/transaction.js';
import { databaseNow, databaseNowPlus } from '../database-clock.js';
import { notify } from '../notify.repository.js';
import type { ClaimedJob, FoldJobs, FoldWork, NewFoldJob } from './fold-jobs.js';

export interface FoldJobsOptions {
  /** This replica. */
  readonly owner: string;
  readonly leaseMs: number;
}

/** A job that ends its worker ends the next one too: it is not tried for ever. */
const mostTries = 3;

export function foldJobs(db: Kysely<Database>, { owner, leaseMs }: FoldJobsOptions): FoldJobs {
  const jobs = () => db.selectFrom('fold_jobs');

  /** Claims one that is ready, and passes over what others claim at this moment. */
  async function claim(): Promise<ClaimedJob | undefined> {
    const claimed = await db
      .updateTable('fold_jobs')
      .set({
        lease_owner: owner,
        lease_expires_at_ms: databaseNowPlus(leaseMs),
        fence: sql<number>`fence + 1`,
        tries: sql<number>`tries + 1`,
      })
      .where(sql<boolean>`(fold_id, place) = (${ready(db)})`)
      .returning(['fold_id', 'place', 'fence', 'work'])
      .executeTakeFirst();
    if (claimed === undefined) return undefined;
    const { fold_id: foldId, place, fence } = claimed;
    const work = claimed.work as FoldWork;
    const children = work.kind === 'join' ? work.children : [];
    return { foldId, place, fence, work, parts: await sumsAt(foldId, children) };
  }

  async function sumsAt(foldId: string, places: readonly number[]): Promise<ClaimedJob['parts']> {
    if (places.length === 0) return [];
    const rows = await jobs()
      .select(['place', 'output'])
      .where('fold_id', '=', foldId)
      .where('place', 'in', [...places])
      .execute();
    const byPlace = new Map(rows.map(({ place, output }) => [place, output]));
    return places.map((place) => blobRefSchema.parse(byPlace.get(place)));
  }

  return {
    plan: (foldId, planned, lease) =>
      inTransaction(db, async (transaction) => {
        if (!(await isOwned(transaction, lease))) {
          throw new GraftError('LEASE_LOST', `run ${lease.runId} has another owner than fence ${lease.fence}`);
        }
        const values = planned.map((job, place) => rowOf(foldId, place, job));
        await transaction
          .insertInto('fold_jobs')
          .values(values)
          .onConflict((on) => on.columns(['fold_id', 'place']).doNothing())
          .execute();
        await notify(transaction, 'folds', { foldId });
      }),
    claim,
    renew: async (job) => {
      const renewed = await held(db.updateTable('fold_jobs'), job)
        .set({ lease_expires_at_ms: databaseNowPlus(leaseMs) })
        .executeTakeFirst();
      return renewed.numUpdatedRows > 0n;
    },
    done: (job, sum) =>
      inTransaction(db, async (transaction) => {
        const stored = await held(transaction.updateTable('fold_jobs'), job)
          .set({ output: JSON.stringify(sum), done_at_ms: databaseNow, lease_owner: null, lease_expires_at_ms: null })
          .returning('parent')
          .executeTakeFirst();
        if (stored === undefined) return false;
        if (stored.parent !== null) await release(transaction, job.foldId, stored.parent);
        await notify(transaction, 'folds', { foldId: job.foldId });
        return true;
      }),
    failed: (job, message) =>
      inTransaction(db, async (transaction) => {
        await held(transaction.updateTable('fold_jobs'), job)
          .set({
            lease_owner: null,
            lease_expires_at_ms: null,
            failure: sql<string | null>`case when tries >= ${mostTries} then ${message} else null end`,
          })
          .execute();
        await notify(transaction, 'folds', { foldId: job.foldId });
      }),
    state: async (foldId) => {
      const [last] = await jobs()
        .select('output')
        .where('fold_id', '=', foldId)
        .orderBy('place', 'desc')
        .limit(1)
        .execute();
      if (last === undefined) return { kind: 'unknown' };
      if (last.output !== null) return { kind: 'done', sum: blobRefSchema.parse(last.output) };
      const failed = await jobs()
        .select(['place', 'failure'])
        .where('fold_id', '=', foldId)
        .where('done_at_ms', 'is', null)
        .where((is) =>
          is.or([
            is('failure', 'is not', null),
            is.and([is('tries', '>=', mostTries), is('lease_expires_at_ms', '<', databaseNow)]),
          ]),
        )
        .limit(1)
        .executeTakeFirst();
      if (failed === undefined) return { kind: 'going on' };
      return {
        kind: 'failed',
        message: failed.failure ?? `its workers died ${mostTries} times over part ${failed.place}`,
      };
    },
    purge: async (olderThanMs) => {
      await db.deleteFrom('fold_jobs').where('created_at_ms', '<', databaseNowPlus(-olderThanMs)).execute();
    },
    remove: (foldId, lease) =>
      inTransaction(db, async (transaction) => {
        if (!(await isOwned(transaction, lease))) return [];
        const rows = await transaction
          .deleteFrom('fold_jobs')
          .where('fold_id', '=', foldId)
          .returning('output')
          .execute();
        return rows.flatMap(({ output }) => (output === null ? [] : [blobRefSchema.parse(output)]));
      }),
  };
}

function ready(db: Kysely<Database>) {
  return db
    .selectFrom('fold_jobs')
    .select(['fold_id', 'place'])
    .where('done_at_ms', 'is', null)
    .where('waits', '=', 0)
    .where('failure', 'is', null)
    .where('tries', '<', mostTries)
    .where((is) => is.or([is('lease_expires_at_ms', 'is', null), is('lease_expires_at_ms', '<', databaseNow)]))
    .orderBy('created_at_ms')
    .orderBy('fold_id')
    .orderBy('place')
    .limit(1)
    .forUpdate()
    .skipLocked();
}

/** The row of a job while its claim holds. */
function held(update: ReturnType<typeof updating>, { foldId, place, fence }: ClaimedJob): ReturnType<typeof updating> {
  return update
    .where('fold_id', '=', foldId)
    .where('place', '=', place)
    .where('fence', '=', fence)
    .where('done_at_ms', 'is', null);
}

const updating = (db: Kysely<Database>) => db.updateTable('fold_jobs');

/** Whether the lease holds; until the transaction ends, whoever takes the run over waits for it. */
async function isOwned(db: Transaction<Database>, { runId, fence }: Lease): Promise<boolean> {
  const run = db.selectFrom('runs').select('id').where('id', '=', runId).where('fence', '=', fence);
  return (await run.forUpdate().executeTakeFirst()) !== undefined;
}

/** A sum that a job waited for is there. */
async function release(db: Transaction<Database>, foldId: string, parent: number): Promise<void> {
  await db
    .updateTable('fold_jobs')
    .set({ waits: sql<number>`waits - 1` })
    .where('fold_id', '=', foldId)
    .where('place', '=', parent)
    .execute();
}

function rowOf(foldId: string, place: number, { work, parent }: NewFoldJob) {
  return {
    fold_id: foldId,
    place,
    work: JSON.stringify(work),
    parent: parent ?? null,
    waits: work.kind === 'join' ? work.children.length : 0,
    fence: 0,
    tries: 0,
    created_at_ms: databaseNow,
  };
}
