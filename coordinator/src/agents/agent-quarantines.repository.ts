/** Quarantines of agents, as an operator sees and ends them. */
import type { Kysely } from 'kysely';

import { GraftError } from '@graft/core/error';

import { appendAudit } from '../store/audit.repository.js';
import type { Database } from '../store/schema.js';
import { inTransaction } from '../store/transaction.js';
import type { AgentView } from './agent-view.js';

export type ShownQuarantine = NonNullable<AgentView['quarantines']>[number];

/** Those that stand at `atMs`, by agent. */
export async function standingQuarantines(
  db: Kysely<Database>,
  agentIds: readonly string[],
  atMs: number,
): Promise<ReadonlyMap<string, readonly ShownQuarantine[]>> {
  const found = new Map<string, ShownQuarantine[]>();
  if (agentIds.length === 0) return found;
  const rows = await db
    .selectFrom('quarantines')
    .innerJoin('tasks', 'tasks.id', 'quarantines.task_id')
    .select(['agent_id', 'tasks.name', 'reason', 'since_ms', 'until_ms'])
    .where('released_at_ms', 'is', null)
    .where('until_ms', '>', atMs)
    .where('agent_id', 'in', [...agentIds])
    .orderBy('tasks.name')
    .execute();
  for (const { agent_id, name, reason, since_ms, until_ms } of rows) {
    const shown = { task: name, reason, sinceMs: since_ms, untilMs: until_ms };
    found.set(agent_id, [...(found.get(agent_id) ?? []), shown]);
  }
  return found;
}

/** Ends quarantines of an agent, with a row of the audit log for each. Throws NOT_FOUND where there is none to end. */
export async function letBack(
  db: Kysely<Database>,
  agent: { readonly id: string; readonly name: string },
  { task, by, atMs }: { readonly task: string | undefined; readonly by: string; readonly atMs: number },
): Promise<void> {
  await inTransaction(db, async (transaction) => {
    const ended = await transaction
      .updateTable('quarantines')
      .set({ released_at_ms: atMs })
      .where('agent_id', '=', agent.id)
      .where('released_at_ms', 'is', null)
      .where('until_ms', '>', atMs)
      .$if(task !== undefined, (query) =>
        query.where('task_id', 'in', (from) =>
          from
            .selectFrom('tasks')
            .select('id')
            .where((is) => is.or([is('id', '=', task ?? ''), is('name', '=', task ?? '')])),
        ),
      )
      .returning('task_id')
      .execute();
    if (ended.length === 0) {
      const of = task === undefined ? '' : ` for task '${task}'`;
      throw new GraftError('NOT_FOUND', `agent '${agent.name}' is not in quarantine${of}; see: graft site list`);
    }
    for (const { task_id: taskId } of ended) {
      const details = { agentId: agent.id, name: agent.name, taskId, by };
      await appendAudit(transaction, { atMs, action: 'agent.let-back', details });
    }
  });
}
