/** A task as the admin API shows it: the specification, and what the coordinator derived from it. */
import { z } from 'zod';

import { blobRefSchema, pipelineSchema } from '@graft/models/pipeline/pipeline';
import { taskSpecSchema } from '@graft/models/pipeline/task-spec';

export const taskViewSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    kind: z.enum(['fit', 'probe']),
    spec: taskSpecSchema,
    pipeline: pipelineSchema
      .optional()
      .meta({ description: 'trunk and tail without the trained tensors; absent for a probe' }),
    layoutHash: z.string(),
    parameterCount: z.int().meta({ description: 'numbers that are trained' }),
    checkpoint: z.object({ weights: blobRefSchema, fp16: blobRefSchema }).meta({ description: 'checkpoint 0' }),
    createdAtMs: z.int(),
  })
  .meta({ id: 'Task' });

export type TaskView = z.infer<typeof taskViewSchema>;
