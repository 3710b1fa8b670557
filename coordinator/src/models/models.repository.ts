/** The library of models in the store. */
import type { Kysely, Selectable } from 'kysely';
import { ulid } from 'ulid';

import type { Clock } from '@graft/core/clock';
import { GraftError } from '@graft/core/error';
import { modelCardSchema } from '@graft/models/pipeline/model-card';
import { blobRefSchema, type BlobRef } from '@graft/models/pipeline/pipeline';

import type { BlobStore } from '../blobs/blob-store.js';
import type { Database } from '../store/schema.js';
import type { ModelView } from './model-view.js';
import type { Models } from './models.js';

export function modelsRepository(db: Kysely<Database>, blobs: Pick<BlobStore, 'has'>, clock: Clock): Models {
  const find = async (idOrName: string): Promise<ModelView | undefined> => {
    const row = await db
      .selectFrom('models')
      .selectAll()
      .where((is) => is.or([is('id', '=', idOrName), is('name', '=', idOrName)]))
      .executeTakeFirst();
    return row && view(row);
  };
  const isStored = async ({ hash, sizeBytes }: BlobRef): Promise<void> => {
    const size = await blobs.has(hash);
    if (size === sizeBytes) return;
    throw size === undefined
      ? new GraftError('NOT_FOUND', `blob ${hash} is not stored; upload it first (PUT /blobs/${hash})`)
      : new GraftError('INVALID_REQUEST', `blob ${hash} has ${size} bytes, the request says ${sizeBytes}`);
  };
  return {
    list: async () => (await db.selectFrom('models').selectAll().orderBy('name').execute()).map(view),
    get: async (idOrName) => {
      const model = await find(idOrName);
      if (model === undefined) throw new GraftError('NOT_FOUND', `there is no model '${idOrName}'`);
      return model;
    },
    register: async ({ card, graph, weights }) => {
      await isStored(graph);
      await isStored(weights);
      const atMs = clock.nowMs();
      await db
        .insertInto('models')
        .values({
          id: ulid(atMs),
          name: card.name,
          card: JSON.stringify(card),
          graph: JSON.stringify(graph),
          weights: JSON.stringify(weights),
          created_at_ms: atMs,
        })
        .onConflict((on) => on.column('name').doNothing())
        .execute();
      const model = await find(card.name);
      if (
        model?.graph.hash === graph.hash &&
        model.weights.hash === weights.hash &&
        JSON.stringify(model.card) === JSON.stringify(modelCardSchema.parse(card))
      )
        return model;
      throw new GraftError('ALREADY_EXISTS', `model '${card.name}' is registered with another card, graph or weights`);
    },
  };
}

function view(row: Selectable<Database['models']>): ModelView {
  return {
    id: row.id,
    name: row.name,
    card: modelCardSchema.parse(row.card),
    graph: blobRefSchema.parse(row.graph),
    weights: blobRefSchema.parse(row.weights),
    createdAtMs: row.created_at_ms,
  };
}
