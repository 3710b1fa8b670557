/** Claims of runs over the database. */
import { sql, type Kysely } from 'kysely';

import { GraftError } from '@graft/core/error';

import type { OwnedRun } from '../rounds/engine-store.js';
import type { StoredRun } from '../rounds/material.js';
import type { Database } from '../store/schema.js';
import { databaseNow, databaseNowPlus } from './database-clock.js';
import type { RunClaims } from './run-claims.js';

export interface RunClaimsOptions {
  readonly owner: string;
  readonly leaseMs: number;
}

export function runClaims(db: Kysely<Database>, { owner, leaseMs }: RunClaimsOptions): RunClaims {
  const open = () => db.selectFrom('runs').select('id').where('open', '=', true);
  const free = (limit: number) =>
    open()
      .where((is) => is.or([is('lease_owner', 'is', null), is('lease_expires_at_ms', '<', databaseNow)]))
      .orderBy('id')
      .limit(limit)
      .forUpdate()
      .skipLocked();
  /** What another replica claims or writes at this moment is left to it. */
  async function claim(which: ReturnType<typeof open>): Promise<OwnedRun[]> {
    const claimed = await db
      .updateTable('runs')
      .set({ lease_owner: owner, lease_expires_at_ms: databaseNowPlus(leaseMs), fence: sql<number>`fence + 1` })
      .where('id', 'in', which)
      .returning(['id', 'state', 'fence'])
      .execute();
    return claimed.map(({ id, state, fence }) => ({ run: state as StoredRun, lease: { runId: id, fence } }));
  }
  return {
    claimFree: async (limit) => (limit < 1 ? [] : claim(free(limit))),
    claimOwn: () => claim(open().where('lease_owner', '=', owner).forUpdate().skipLocked()),
    open: async () => {
      const { count } = await db
        .selectFrom('runs')
        .select(sql<number>`count(*)::int`.as('count'))
        .where('open', '=', true)
        .executeTakeFirstOrThrow();
      return count;
    },
    confirm: async ({ runId, fence }) => {
      const run = db.selectFrom('runs').select('id').where('id', '=', runId).where('fence', '=', fence);
      if ((await run.executeTakeFirst()) === undefined) {
        throw new GraftError('LEASE_LOST', `run ${runId} has another owner than fence ${fence}`);
      }
    },
    stored: async (runId) => {
      const run = db.selectFrom('runs').select('state').where('id', '=', runId).where('open', '=', true);
      return (await run.executeTakeFirst())?.state as StoredRun | undefined;
    },
    isOpen: async (runId) => (await open().where('id', '=', runId).executeTakeFirst()) !== undefined,
    training: async (agentId) => {
      const rows = await db
        .selectFrom('runs')
        .select('state')
        .where('open', '=', true)
        .where(sql<string>`state -> 'machine' ->> 'phase'`, '=', 'training')
        .where(sql<boolean>`jsonb_exists(state -> 'machine' -> 'members', ${agentId})`)
        .execute();
      return rows.map(({ state }) => state as StoredRun);
    },
  };
}
