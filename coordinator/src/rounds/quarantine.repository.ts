/** Quarantines in the database: they outlive the run that gave them. */
import { sql, type Kysely, type Transaction } from 'kysely';

import { appendAudit } from '../store/audit.repository.js';
import type { Database } from '../store/schema.js';
import type { Quarantine } from './machine/policy/quarantine.js';
import type { RunPlan } from './machine/state.js';
import type { StepRows } from './step-rows.js';

/** The newest one of an agent and task stands. */
export async function storeQuarantine(
  db: Transaction<Database>,
  { taskId, runId }: RunPlan,
  { agentId, quarantine: { reason, sinceMs, untilMs, times } }: StepRows['quarantines'][number],
  atMs: number,
): Promise<void> {
  const values = { reason, since_ms: sinceMs, until_ms: untilMs, times, released_at_ms: null };
  await db
    .insertInto('quarantines')
    .values({ task_id: taskId, agent_id: agentId, ...values })
    .onConflict((on) =>
      on
        .columns(['task_id', 'agent_id'])
        .doUpdateSet(values)
        .where('quarantines.since_ms', '<=', sql<number>`excluded.since_ms`),
    )
    .execute();
  await appendAudit(db, { atMs, action: 'agent.quarantined', details: { agentId, taskId, runId, reason, untilMs } });
}

/** By agent, then by task. */
export async function storedQuarantines(
  db: Kysely<Database>,
  agentIds: readonly string[],
): Promise<ReadonlyMap<string, Readonly<Record<string, Quarantine>>>> {
  const found = new Map<string, Record<string, Quarantine>>();
  const rows = await db
    .selectFrom('quarantines')
    .selectAll()
    .where('agent_id', 'in', [...agentIds])
    .execute();
  for (const row of rows) {
    const own = found.get(row.agent_id) ?? {};
    own[row.task_id] = {
      reason: row.reason,
      sinceMs: row.since_ms,
      untilMs: row.until_ms,
      times: row.times,
      ...(row.released_at_ms !== null && { releasedAtMs: row.released_at_ms }),
    };
    found.set(row.agent_id, own);
  }
  return found;
}
