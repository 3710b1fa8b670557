/** Which deltas have been made, so that a restart and the other coordinators make none again. */
import type { Kysely } from 'kysely';

import type { Clock } from '@graft/core/clock';
import { blobRefSchema } from '@graft/models/pipeline/pipeline';
import { decodeInstruction } from '@graft/protos/message-codec.adapter';
import type * as wire from '@graft/protos/messages';

import type { BlobStore } from '../blobs/blob-store.js';
import type { Database } from '../store/schema.js';
import type { DeltaStore } from './create-deltas.js';

export function deltaStore(db: Kysely<Database>, clock: Clock): DeltaStore {
  return {
    get: async (from, to) => {
      const row = await db
        .selectFrom('deltas')
        .select('delta')
        .where('from_hash', '=', from)
        .where('to_hash', '=', to)
        .executeTakeFirst();
      if (row === undefined) return undefined;
      return row.delta === null ? 'whole' : blobRefSchema.parse(row.delta);
    },
    put: async (from, to, delta) => {
      const values = { delta: delta === 'whole' ? null : JSON.stringify(delta), created_at_ms: clock.nowMs() };
      await db
        .insertInto('deltas')
        .values({ from_hash: from, to_hash: to, ...values })
        .onConflict((on) => on.columns(['from_hash', 'to_hash']).doUpdateSet(values))
        .execute();
    },
  };
}

/** Forgets deltas that were made before `beforeMs`, and their blobs; answers how many. An agent that wants one gets it made again. */
export async function forgetDeltas(
  db: Kysely<Database>,
  blobs: Pick<BlobStore, 'delete'>,
  beforeMs: number,
): Promise<number> {
  const old = await db.deleteFrom('deltas').where('created_at_ms', '<', beforeMs).returning('delta').execute();
  for (const { delta } of old) {
    if (delta !== null) await blobs.delete(blobRefSchema.parse(delta).hash);
  }
  return old.length;
}

/** Rounds back that an agent's checkpoints are its own to name: each round has a few instructions. */
const latest = 64;

/** The latest instructions of an agent, settled or not: what it may have read. */
export function latestInstructions(db: Kysely<Database>): (agentId: string) => Promise<readonly wire.Instruction[]> {
  return async (agentId) => {
    const rows = await db
      .selectFrom('instructions')
      .select(['id', 'payload'])
      .where('agent_id', '=', agentId)
      .orderBy('created_at_ms', 'desc')
      .limit(latest)
      .execute();
    return rows.map(({ id, payload }) => ({ ...decodeInstruction(payload), id }));
  };
}
