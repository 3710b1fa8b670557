/** Presence of replicas and agents over the database. */
import { sql, type Kysely } from 'kysely';

import type { Database } from '../store/schema.js';
import { inTransaction } from '../store/transaction.js';
import { databaseNow, databaseNowPlus } from './database-clock.js';
import type { Presence } from './presence.js';
import { notify } from './notify.repository.js';

export interface PresenceOptions {
  /** This replica. */
  readonly id: string;
  readonly version: string;
  /** How long a replica lives without being heard of. */
  readonly leaseMs: number;
}

/** A replica that was not heard of for so many leases has its rows removed. */
const forgottenAfterLeases = 60;

const nextSession = sql<number>`nextval('presence_sessions')`;

export function presenceRepository(db: Kysely<Database>, { id, version, leaseMs }: PresenceOptions): Presence {
  const living = () =>
    db
      .selectFrom('presence')
      .innerJoin('replicas', 'replicas.id', 'presence.replica_id')
      .where('replicas.expires_at_ms', '>', databaseNow);
  return {
    renew: async ({ draining }) => {
      const renewed = await db
        .updateTable('replicas')
        .set({ expires_at_ms: databaseNowPlus(leaseMs), draining })
        .where('id', '=', id)
        .executeTakeFirst();
      if (renewed.numUpdatedRows > 0n) return false;
      await db
        .insertInto('replicas')
        .values({ id, version, draining, expires_at_ms: databaseNowPlus(leaseMs), started_at_ms: databaseNow })
        .onConflict((on) => on.column('id').doNothing())
        .execute();
      await forget(db, leaseMs);
      return true;
    },
    opened: (agentId) =>
      inTransaction(db, async (transaction) => {
        const { session } = await transaction
          .insertInto('presence')
          .values({ agent_id: agentId, replica_id: id, session: nextSession })
          .onConflict((on) => on.column('agent_id').doUpdateSet({ replica_id: id, session: nextSession }))
          .returning('session')
          .executeTakeFirstOrThrow();
        await notify(transaction, 'presence', { agentIds: [agentId] });
        return session;
      }),
    holds: async (streams) => {
      if (streams.length === 0) return;
      await db
        .insertInto('presence')
        .values(streams.map(({ agentId, session }) => ({ agent_id: agentId, replica_id: id, session })))
        .onConflict((on) =>
          on
            .column('agent_id')
            .doUpdateSet({ replica_id: id, session: (is) => is.ref('excluded.session') })
            .whereRef('presence.session', '<', 'excluded.session'),
        )
        .execute();
    },
    closed: (agentId, session) =>
      inTransaction(db, async (transaction) => {
        const removed = await transaction
          .deleteFrom('presence')
          .where('agent_id', '=', agentId)
          .where('session', '=', session)
          .executeTakeFirst();
        if (removed.numDeletedRows === 0n) return false;
        await notify(transaction, 'presence', { agentIds: [agentId] });
        return true;
      }),
    connected: async (among) => {
      if (among?.length === 0) return [];
      const agents = living().select('presence.agent_id');
      const rows = await (among === undefined ? agents : agents.where('agent_id', 'in', [...among])).execute();
      return rows.map(({ agent_id }) => agent_id).sort();
    },
    instructed: async () => {
      const rows = await db
        .selectFrom('presence')
        .innerJoin('instructions', 'instructions.agent_id', 'presence.agent_id')
        .select('presence.agent_id')
        .distinct()
        .where('presence.replica_id', '=', id)
        .where('instructions.settled_at_ms', 'is', null)
        .execute();
      return rows.map(({ agent_id }) => agent_id);
    },
    leave: async () => {
      await db.deleteFrom('presence').where('replica_id', '=', id).execute();
      await db.deleteFrom('replicas').where('id', '=', id).execute();
    },
    taking: async () => {
      const { count } = await db
        .selectFrom('replicas')
        .select(sql<number>`count(*)::int`.as('count'))
        .where('expires_at_ms', '>', databaseNow)
        .where('draining', '=', false)
        .executeTakeFirstOrThrow();
      return count;
    },
  };
}

/** Rows of replicas that are gone for good. */
async function forget(db: Kysely<Database>, leaseMs: number): Promise<void> {
  const gone = await db
    .deleteFrom('replicas')
    .where('expires_at_ms', '<', databaseNowPlus(-forgottenAfterLeases * leaseMs))
    .returning('id')
    .execute();
  if (gone.length === 0) return;
  const ids = gone.map((row) => row.id);
  await db.deleteFrom('presence').where('replica_id', 'in', ids).execute();
}
