/** What the metrics tell of the store: read when they are asked for, so that a restart keeps it. */
import { sql, type Kysely } from 'kysely';

import type { RoundRecord } from '../../rounds/machine/record.js';
import type { RunState } from '../../rounds/machine/state.js';
import type { Database } from '../../store/schema.js';

/** How many of each kind; '' is accepted among the updates. */
export interface StoredCounts {
  readonly runs: Readonly<Record<string, number>>;
  readonly rounds: Readonly<Record<string, number>>;
  readonly updates: Readonly<Record<string, number>>;
  readonly outbox: number;
  readonly instructions: number;
  readonly inbox: number;
  /** Agents in quarantine, by name of the task. */
  readonly quarantined: Readonly<Record<string, number>>;
}

/** A run that still goes on, with the record of the round in hand. */
export interface OpenRun {
  readonly machine: RunState;
  readonly record: RoundRecord | undefined;
}

export interface StoredMetrics {
  counts(nowMs: number): Promise<StoredCounts>;
  /** The oldest first, at most `limit`. */
  openRuns(limit: number): Promise<readonly OpenRun[]>;
  agentNames(): Promise<ReadonlyMap<string, string>>;
}

const count = sql<number>`count(*)::int`.as('count');

export function storedMetrics(db: Kysely<Database>): StoredMetrics {
  return {
    counts: async (nowMs) => {
      const status = sql<string>`state -> 'machine' ->> 'status'`;
      const runs = await db
        .selectFrom('runs')
        .select([status.as('value'), count])
        .groupBy(status)
        .execute();
      const rounds = await db.selectFrom('rounds').select(['phase as value', count]).groupBy('phase').execute();
      const updates = await db.selectFrom('updates').select(['reason as value', count]).groupBy('reason').execute();
      const [outbox] = await db.selectFrom('outbox').select(count).where('done_at_ms', 'is', null).execute();
      const instructions = await db
        .selectFrom('instructions')
        .select(count)
        .where('settled_at_ms', 'is', null)
        .executeTakeFirst();
      const [inbox] = await db.selectFrom('inbox').select(count).where('done_at_ms', 'is', null).execute();
      const quarantined = await db
        .selectFrom('quarantines')
        .innerJoin('tasks', 'tasks.id', 'quarantines.task_id')
        .select(['tasks.name as value', count])
        .where('released_at_ms', 'is', null)
        .where('until_ms', '>', nowMs)
        .groupBy('tasks.name')
        .execute();
      return {
        runs: byValue(runs),
        rounds: byValue(rounds),
        updates: byValue(updates),
        outbox: outbox?.count ?? 0,
        instructions: instructions?.count ?? 0,
        inbox: inbox?.count ?? 0,
        quarantined: byValue(quarantined),
      };
    },
    openRuns: async (limit) => {
      const rows = await db
        .selectFrom('runs')
        .leftJoin('rounds', (join) =>
          join
            .onRef('rounds.run_id', '=', 'runs.id')
            .on('rounds.round', '=', sql<number>`(runs.state -> 'machine' ->> 'round')::int`),
        )
        .select([sql`runs.state -> 'machine'`.as('machine'), 'rounds.record'])
        .where('runs.open', '=', true)
        .orderBy('runs.created_at_ms')
        .limit(limit)
        .execute();
      return rows.map(({ machine, record }) => ({
        machine: machine as RunState,
        record: record === null ? undefined : (record as RoundRecord),
      }));
    },
    agentNames: async () => {
      const rows = await db.selectFrom('agents').select(['id', 'name']).where('state', '!=', 'revoked').execute();
      return new Map(rows.map(({ id, name }) => [id, name]));
    },
  };
}

function byValue(rows: readonly { readonly value: string | null; readonly count: number }[]): Record<string, number> {
  return Object.fromEntries(rows.map(({ value, count: many }) => [value ?? '', many]));
}
