/** A model of the library as the admin API takes and shows it. */
import { z } from 'zod';

import { modelCardSchema } from '@graft/models/pipeline/model-card';
import { blobRefSchema } from '@graft/models/pipeline/pipeline';

export const registerModelSchema = z
  .strictObject({ card: modelCardSchema, graph: blobRefSchema, weights: blobRefSchema })
  .meta({ id: 'RegisterModel' });

export const modelViewSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    card: modelCardSchema,
    graph: blobRefSchema,
    weights: blobRefSchema,
    createdAtMs: z.int(),
  })
  .meta({ id: 'Model' });

export type RegisterModel = z.infer<typeof registerModelSchema>;
export type ModelView = z.infer<typeof modelViewSchema>;
