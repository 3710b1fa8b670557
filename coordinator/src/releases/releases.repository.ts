/** Releases in the store. */
import type { Kysely, Selectable } from 'kysely';

import { GraftError } from '@graft/core/error';
import { pipelineSchema, type Pipeline } from '@graft/models/pipeline/pipeline';
import { z } from 'zod';

import type { Database } from '../store/schema.js';
import type { ReleaseView } from './release-view.js';
import type { Releases } from './releases.js';

export function releasesRepository(
  db: Kysely<Database>,
  exportOnnx: (pipeline: Pipeline) => Promise<Uint8Array>,
): Releases {
  const row = async (id: string): Promise<Selectable<Database['releases']>> => {
    const found = await db.selectFrom('releases').selectAll().where('id', '=', id).executeTakeFirst();
    if (found === undefined) throw new GraftError('NOT_FOUND', `there is no release ${id}`);
    return found;
  };
  return {
    list: async () =>
      (await db.selectFrom('releases').selectAll().orderBy('created_at_ms', 'desc').limit(1_000).execute()).map(view),
    get: async (id) => view(await row(id)),
    manifest: async (id) => {
      const { manifest, signature } = await row(id);
      return { manifest, signature };
    },
    onnx: async (id) => {
      const { manifest } = await row(id);
      const { pipeline } = z
        .looseObject({ pipeline: pipelineSchema })
        .parse(JSON.parse(new TextDecoder().decode(manifest)));
      return exportOnnx(pipeline);
    },
  };
}

function view(row: Selectable<Database['releases']>): ReleaseView {
  return {
    id: row.id,
    taskId: row.task_id,
    runId: row.run_id,
    round: row.round,
    precision: row.precision === 'int8' ? 'int8' : 'fp32',
    measures: Object(row.measures) as Record<string, unknown>,
    createdAtMs: row.created_at_ms,
  };
}
