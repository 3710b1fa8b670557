/** Tasks in the store. A task is prepared once before it is stored, so that what cannot run is refused when it is created. */
import type { Kysely, Selectable } from 'kysely';
import { ulid } from 'ulid';

import type { Clock } from '@graft/core/clock';
import { GraftError } from '@graft/core/error';
import { seedFrom } from '@graft/core/random';
import { blobRefSchema, pipelineSchema } from '@graft/models/pipeline/pipeline';
import { taskSpecSchema, type TaskSpec } from '@graft/models/pipeline/task-spec';

import type { BlobStore } from '../blobs/blob-store.js';
import type { ModelWork, Prepared } from '../compute/model-work.js';
import type { Models } from '../models/models.js';
import type { Database } from '../store/schema.js';
import type { TaskView } from './task-view.js';
import type { Tasks } from './tasks.js';

export interface TasksPorts {
  readonly db: Kysely<Database>;
  readonly models: Pick<Models, 'get'>;
  readonly work: Pick<ModelWork, 'prepare'>;
  readonly blobs: Pick<BlobStore, 'has'>;
  readonly clock: Clock;
}

export function tasksRepository({ db, models, work, blobs, clock }: TasksPorts): Tasks {
  const find = async (idOrName: string): Promise<TaskView | undefined> => {
    const row = await db
      .selectFrom('tasks')
      .selectAll()
      .where((is) => is.or([is('id', '=', idOrName), is('name', '=', idOrName)]))
      .executeTakeFirst();
    return row && view(row);
  };
  const same = (stored: TaskView, spec: TaskSpec): TaskView => {
    if (JSON.stringify(stored.spec) === JSON.stringify(spec)) return stored;
    throw new GraftError(
      'ALREADY_EXISTS',
      `task '${spec.name}' exists with another specification; choose another name`,
    );
  };
  const prepare = async (taskId: string, task: TaskSpec): Promise<Prepared> => {
    const seed = seedFrom('task', task.name);
    if (task.kind === 'probe') return work.prepare({ taskId, seed, task });
    const { card, graph, weights } = await models.get(task.model);
    if (task.holdOut !== undefined && (await blobs.has(task.holdOut)) === undefined) {
      throw new GraftError('NOT_FOUND', `the hold-out data ${task.holdOut} are not stored; upload them first`);
    }
    return work.prepare({ taskId, seed, task, model: { card, graph, weights } });
  };
  return {
    list: async () => (await db.selectFrom('tasks').selectAll().orderBy('created_at_ms', 'desc').execute()).map(view),
    get: async (idOrName) => {
      const task = await find(idOrName);
      if (task === undefined) throw new GraftError('NOT_FOUND', `there is no task '${idOrName}'`);
      return task;
    },
    create: async (spec) => {
      const earlier = await find(spec.name);
      if (earlier !== undefined) return same(earlier, spec);
      const atMs = clock.nowMs();
      const id = ulid(atMs);
      const { material, base } = await prepare(id, spec);
      await db
        .insertInto('tasks')
        .values({
          id,
          name: spec.name,
          kind: spec.kind,
          spec: JSON.stringify(spec),
          pipeline: material.kind === 'fit' ? JSON.stringify(material.pipeline) : null,
          layout_hash: material.layoutHash,
          parameter_count: material.parameterCount,
          weights: JSON.stringify(base.weights),
          fp16: JSON.stringify(base.fp16),
          created_at_ms: atMs,
        })
        .onConflict((on) => on.column('name').doNothing())
        .execute();
      const stored = await find(spec.name);
      if (stored === undefined) throw new GraftError('INTERNAL', `task '${spec.name}' was not stored`);
      return same(stored, spec);
    },
  };
}

function view(row: Selectable<Database['tasks']>): TaskView {
  const spec = taskSpecSchema.parse(row.spec);
  return {
    id: row.id,
    name: row.name,
    kind: spec.kind,
    spec,
    ...(row.pipeline !== null && { pipeline: pipelineSchema.parse(row.pipeline) }),
    layoutHash: row.layout_hash,
    parameterCount: row.parameter_count,
    checkpoint: { weights: blobRefSchema.parse(row.weights), fp16: blobRefSchema.parse(row.fp16) },
    createdAtMs: row.created_at_ms,
  };
}
