/** What the jobs of folds keep on every database. */
import { randomUUID } from 'node:crypto';

import type { Lease } from '../../rounds/engine-store.js';
import type { Store } from '../../store/open-store.driver.js';
import { databaseNowPlus } from '../database-clock.js';
import { foldJobs } from './fold-jobs.repository.js';
import type { ClaimedJob, FoldJobs, NewFoldJob } from './fold-jobs.js';

const leaseMs = 20_000;

/** Two groups and the join of them. */
const plan: readonly NewFoldJob[] = [
  { work: { kind: 'group', runId: 'run', parameterCount: 1, updates: [] }, parent: 2 },
  { work: { kind: 'group', runId: 'run', parameterCount: 1, updates: [] }, parent: 2 },
  { work: { kind: 'join', parameterCount: 1, children: [0, 1] } },
];

const sumOf = (place: number) => ({ hash: String(place).repeat(64), sizeBytes: 24 });

export function foldJobsContract(store: () => Store): void {
  const as = (owner: string): FoldJobs => foldJobs(store().db, { owner, leaseMs });
  const expire = ({ foldId, place }: ClaimedJob) =>
    store()
      .db.updateTable('fold_jobs')
      .set({ lease_expires_at_ms: 1 })
      .where('fold_id', '=', foldId)
      .where('place', '=', place)
      .execute();

  let lease: Lease;

  async function begin(): Promise<string> {
    await store().db.deleteFrom('fold_jobs').execute();
    const foldId = randomUUID();
    lease = await anyRun(store());
    await as('one').plan(foldId, plan, lease);
    return foldId;
  }

  async function claimed(owner: string): Promise<ClaimedJob> {
    const job = await as(owner).claim();
    if (job === undefined) throw new Error('no job is to be had');
    return job;
  }

  describe('jobs of a fold', () => {
    test('are each had by one replica, and a join waits for all of its parts, which come in order', async () => {
      const foldId = await begin();
      const [left, right] = [await claimed('one'), await claimed('two')];
      expect([left.place, right.place]).toEqual([0, 1]);
      expect(await as('three').claim()).toBeUndefined();
      expect(await as('two').done(right, sumOf(1))).toBe(true);
      expect(await as('three').claim()).toBeUndefined();
      expect(await as('one').state(foldId)).toEqual({ kind: 'going on' });
      expect(await as('one').done(left, sumOf(0))).toBe(true);
      const join = await claimed('three');
      expect([join.place, join.parts]).toEqual([2, [sumOf(0), sumOf(1)]]);
      expect(await as('three').done(join, sumOf(2))).toBe(true);
      expect(await as('one').state(foldId)).toEqual({ kind: 'done', sum: sumOf(2) });
    });

    test('go to another replica when their lease runs out; the first one changes nothing any more', async () => {
      const foldId = await begin();
      const first = await claimed('dead');
      await expire(first);
      const second = await claimed('alive');
      expect([second.place, second.fence]).toEqual([first.place, first.fence + 1]);
      expect([await as('dead').renew(first), await as('alive').renew(second)]).toEqual([false, true]);
      expect(await as('dead').done(first, sumOf(7))).toBe(false);
      await as('dead').failed(first, 'it was paused');
      expect(await as('alive').done(second, sumOf(0))).toBe(true);
      expect(await as('alive').done(second, sumOf(0))).toBe(false);
      const { waits } = await store()
        .db.selectFrom('fold_jobs')
        .select('waits')
        .where('fold_id', '=', foldId)
        .where('place', '=', 2)
        .executeTakeFirstOrThrow();
      expect(waits).toBe(1);
    });

    test('fail for good at the third try, with the reason of the last', async () => {
      const foldId = await begin();
      for (const why of ['a', 'b', 'c']) {
        expect((await as('one').state(foldId)).kind).toBe('going on');
        await as('one').failed(await claimed('one'), why);
      }
      expect(await as('one').state(foldId)).toEqual({ kind: 'failed', message: 'c' });
      expect((await claimed('one')).place).toBe(1);
    });

    test('whose workers die each time fail for good too', async () => {
      const foldId = await begin();
      for (let tries = 0; tries < 3; tries++) await expire(await claimed('one'));
      expect(await as('one').state(foldId)).toMatchObject({ kind: 'failed' });
    });

    test('stay as they are when the fold is planned again, and go on where they were', async () => {
      const foldId = await begin();
      await as('one').done(await claimed('one'), sumOf(0));
      await as('two').plan(foldId, plan, lease);
      expect((await claimed('two')).place).toBe(1);
    });

    test('are written down by the owner of the run alone, and removed by it, with the sums that they made', async () => {
      const foldId = await begin();
      await as('one').done(await claimed('one'), sumOf(0));
      expect(await as('one').remove(foldId, { ...lease, fence: lease.fence - 1 })).toEqual([]);
      await expect(as('one').plan(randomUUID(), plan, { ...lease, fence: lease.fence - 1 })).rejects.toMatchObject({
        code: 'LEASE_LOST',
      });
      expect((await as('one').state(foldId)).kind).toBe('going on');
      expect(await as('one').remove(foldId, lease)).toEqual([sumOf(0)]);
      expect(await as('one').state(foldId)).toEqual({ kind: 'unknown' });
    });

    test('that were left behind are removed in time', async () => {
      const foldId = await begin();
      await as('one').purge(60_000);
      expect((await as('one').state(foldId)).kind).toBe('going on');
      await store()
        .db.updateTable('fold_jobs')
        .set({ created_at_ms: databaseNowPlus(-61_000) })
        .execute();
      await as('one').purge(60_000);
      expect(await as('one').state(foldId)).toEqual({ kind: 'unknown' });
    });
  });
}

/** A run with a fence. */
async function anyRun({ db }: Store): Promise<Lease> {
  const [runId, taskId] = [randomUUID(), randomUUID()];
  const json = { spec: '{}', weights: '{}', fp16: '{}' };
  await db
    .insertInto('tasks')
    .values({ id: taskId, name: taskId, kind: 'probe', layout_hash: '', parameter_count: 1, created_at_ms: 1, ...json })
    .execute();
  const row = { id: runId, task_id: taskId, open: false, state: '{}', version: 1, fence: 5, created_at_ms: 1 };
  await db.insertInto('runs').values(row).execute();
  return { runId, fence: 5 };
}
