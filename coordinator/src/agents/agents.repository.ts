/** Agents in the store: who they are, what they may, when they were last heard of. */
import type { Kysely, Selectable } from 'kysely';
import { z } from 'zod';

import type { Clock } from '@graft/core/clock';
import { GraftError } from '@graft/core/error';

import type { AgentDirectory, AgentState } from '../federation/agent-directory.js';
import { letBack, standingQuarantines, type ShownQuarantine } from './agent-quarantines.repository.js';
import type { Rounds } from '../rounds/rounds.js';
import { appendAudit } from '../store/audit.repository.js';
import type { Database } from '../store/schema.js';
import { inTransaction } from '../store/transaction.js';
import { agentViewSchema, type AgentView } from './agent-view.js';
import type { Agents } from './agents.js';

type AgentRow = Selectable<Database['agents']>;

const stateSchema = z.enum(['pending', 'active', 'revoked']);
const tagsSchema = z.array(z.string()).catch([]);
const capabilitiesSchema = agentViewSchema.shape.capabilities;

export interface AgentsPorts {
  readonly db: Kysely<Database>;
  /** Agents with an open stream, and why they take no work. */
  readonly online: () => ReadonlyMap<string, { readonly paused: string }>;
  readonly activity: Rounds['activity'];
  /** Ends the agent's stream. */
  readonly disconnect: (agentId: string, error: GraftError) => void;
  /** What is known of an agent has changed: tells the runs, where it has a stream. */
  readonly changed: (agentId: string) => Promise<void>;
  readonly clock: Clock;
}

export function agentDirectory(db: Kysely<Database>): AgentDirectory {
  return {
    find: async (agentId) => {
      const row = await db
        .selectFrom('agents')
        .select(['id', 'name', 'state'])
        .where('id', '=', agentId)
        .executeTakeFirst();
      return row && { ...row, state: stateSchema.parse(row.state) };
    },
    seen: async (agentId, { atMs, version, capabilities, expectedAtMs }) => {
      await db
        .updateTable('agents')
        .set({
          last_seen_at_ms: atMs,
          expected_at_ms: expectedAtMs ?? null,
          ...(version !== undefined && { version }),
          ...(capabilities && { capabilities: JSON.stringify(capabilities) }),
        })
        .where('id', '=', agentId)
        .execute();
    },
  };
}

export function agentsRepository(ports: AgentsPorts): Agents {
  const { db } = ports;
  const find = async (idOrName: string): Promise<AgentRow> => {
    const rows = await db
      .selectFrom('agents')
      .selectAll()
      .where((is) => is.or([is('id', '=', idOrName), is('name', '=', idOrName)]))
      .orderBy('created_at_ms', 'desc')
      .execute();
    const row = rows.find(({ state }) => state !== 'revoked') ?? rows[0];
    if (row === undefined) throw new GraftError('NOT_FOUND', `there is no agent '${idOrName}'`);
    return row;
  };
  const views = async (rows: readonly AgentRow[]): Promise<AgentView[]> => {
    const [online, activity] = [ports.online(), ports.activity()];
    const shut = await standingQuarantines(
      db,
      rows.map(({ id }) => id),
      ports.clock.nowMs(),
    );
    return rows.map((row) => viewOf(row, online, activity, shut.get(row.id)));
  };
  const view = async (row: AgentRow): Promise<AgentView> =>
    (await views([row]))[0] ?? viewOf(row, ports.online(), ports.activity());
  /** Who is revoked stays so, whoever else changes the agent at the same moment. */
  const change = async (row: AgentRow, state: AgentState, action: string, by: string): Promise<AgentRow> => {
    await inTransaction(db, async (transaction) => {
      const changed = await transaction
        .updateTable('agents')
        .set({ state })
        .where('id', '=', row.id)
        .where('state', 'not in', [state, 'revoked'])
        .returning('id')
        .executeTakeFirst();
      if (changed === undefined) return;
      const details = { agentId: row.id, name: row.name, by };
      await appendAudit(transaction, { atMs: ports.clock.nowMs(), action, details });
    });
    return find(row.id);
  };
  return {
    list: async () => {
      return views(await db.selectFrom('agents').selectAll().orderBy('name').orderBy('created_at_ms').execute());
    },
    some: async (ids) => {
      if (ids.length === 0) return [];
      const rows = await db
        .selectFrom('agents')
        .selectAll()
        .where('id', 'in', [...ids])
        .orderBy('name')
        .execute();
      return views(rows);
    },
    get: async (idOrName) => view(await find(idOrName)),
    approve: async (idOrName, by) => {
      const row = await change(await find(idOrName), 'active', 'agent.approved', by);
      if (row.state === 'revoked')
        throw new GraftError('AGENT_REVOKED', `agent '${row.name}' has been revoked; invite the site again`);
      return view(row);
    },
    tag: async (idOrName, given, by) => {
      const { id, name } = await find(idOrName);
      const tags = [...new Set(given)].sort();
      await inTransaction(db, async (transaction) => {
        await transaction
          .updateTable('agents')
          .set({ tags: JSON.stringify(tags) })
          .where('id', '=', id)
          .execute();
        const details = { agentId: id, name, by, tags: tags.join(' ') };
        await appendAudit(transaction, { atMs: ports.clock.nowMs(), action: 'agent.tagged', details });
      });
      await ports.changed(id);
      return view(await find(id));
    },
    letBack: async (idOrName, task, by) => {
      const agent = await find(idOrName);
      await letBack(db, agent, { task, by, atMs: ports.clock.nowMs() });
      await ports.changed(agent.id);
      return view(agent);
    },
    revoke: async (idOrName, by) => {
      const row = await change(await find(idOrName), 'revoked', 'agent.revoked', by);
      ports.disconnect(row.id, new GraftError('AGENT_REVOKED', `agent '${row.name}' (${row.id}) has been revoked`));
      return view(row);
    },
  };
}

function viewOf(
  row: AgentRow,
  online: ReturnType<AgentsPorts['online']>,
  activity: ReturnType<Rounds['activity']>,
  quarantines?: readonly ShownQuarantine[],
): AgentView {
  const capabilities = capabilitiesSchema.safeParse(row.capabilities ?? undefined);
  const said = activity.get(row.id);
  const paused = online.get(row.id)?.paused ?? '';
  const connected = row.state !== 'revoked' && online.has(row.id);
  return {
    id: row.id,
    name: row.name,
    state: stateSchema.parse(row.state),
    connected,
    ...(!connected && row.expected_at_ms !== null && { expectedAtMs: row.expected_at_ms }),
    ...(paused !== '' && { paused }),
    tags: tagsSchema.parse(row.tags),
    ...(quarantines && { quarantines: [...quarantines] }),
    createdAtMs: row.created_at_ms,
    ...(row.last_seen_at_ms !== null && { lastSeenAtMs: row.last_seen_at_ms }),
    ...(row.version !== null && { agentVersion: row.version }),
    ...(capabilities.data && { capabilities: capabilities.data }),
    ...(said && { activity: said }),
  };
}
