/** Instructions that agents have not answered yet; the engine writes and settles them. */
import type { Kysely } from 'kysely';

import type * as wire from '@graft/protos/messages';
import { decodeInstruction } from '@graft/protos/message-codec.adapter';

import type { Database } from '../store/schema.js';

/** More than a round asks of one agent; the rest comes once these are settled. */
const pageSize = 100;

export function unsettledInstructions(db: Kysely<Database>): (agentId: string) => Promise<readonly wire.Instruction[]> {
  return async (agentId) => {
    const rows = await db
      .selectFrom('instructions')
      .select(['id', 'payload'])
      .where('agent_id', '=', agentId)
      .where('settled_at_ms', 'is', null)
      .orderBy('created_at_ms')
      .orderBy('id')
      .limit(pageSize)
      .execute();
    return rows.map(({ id, payload }) => ({ ...decodeInstruction(payload), id }));
  };
}
