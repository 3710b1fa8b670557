/** What pace steering goes by, read from what the engine stores: any replica may own the runs. */
import { sql, type Kysely } from 'kysely';

import type { StoredRun } from '../rounds/material.js';
import type { Database } from '../store/schema.js';
import type { PacedRun } from './away.js';

export interface Steering {
  /** Open runs, and agents that are let in. */
  load(): Promise<{ readonly runs: readonly PacedRun[]; readonly population: number }>;
  /** Of these agents, those who have no instruction to answer. */
  idle(agentIds: readonly string[]): Promise<readonly string[]>;
}

export function steering(db: Kysely<Database>): Steering {
  return {
    load: async () => {
      const [open, means, { count }] = await Promise.all([
        db.selectFrom('runs').select(['id', 'state']).where('open', '=', true).execute(),
        db
          .selectFrom('rounds')
          .innerJoin('runs', 'runs.id', 'rounds.run_id')
          .select(['run_id', sql<number>`avg(finished_at_ms - started_at_ms)::float8`.as('mean_ms')])
          .where('runs.open', '=', true)
          .where('finished_at_ms', 'is not', null)
          .groupBy('run_id')
          .execute(),
        db
          .selectFrom('agents')
          .select(sql<number>`count(*)::int`.as('count'))
          .where('state', '=', 'active')
          .executeTakeFirstOrThrow(),
      ]);
      const meanMs = new Map(means.map(({ run_id, mean_ms }) => [run_id, mean_ms]));
      const runs = open.map(({ id, state }) => {
        const { machine } = state as StoredRun;
        // Until a round has ended, it is expected to take all the time that it may.
        return { machine, roundMs: meanMs.get(id) ?? machine.plan.window.maxMs };
      });
      return { runs, population: count };
    },
    idle: async (agentIds) => {
      if (agentIds.length === 0) return [];
      const busy = await db
        .selectFrom('instructions')
        .select('agent_id')
        .distinct()
        .where('settled_at_ms', 'is', null)
        .execute();
      const isBusy = new Set(busy.map(({ agent_id }) => agent_id));
      return agentIds.filter((agentId) => !isBusy.has(agentId));
    },
  };
}
