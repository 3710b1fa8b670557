/** API keys as the admin API takes and shows them. */
import { z } from 'zod';

import { nameSchema } from '@graft/models/pipeline/task-spec';

import { roleSchema } from './roles.js';

export const createKeySchema = z.strictObject({ name: nameSchema, role: roleSchema }).meta({ id: 'CreateApiKey' });

export const keyViewSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    role: roleSchema,
    createdAtMs: z.int(),
    revokedAtMs: z.int().optional(),
  })
  .meta({ id: 'ApiKey' });

export const createdKeySchema = keyViewSchema
  .extend({ key: z.string().meta({ description: 'shown this once; only its hash is kept' }) })
  .meta({ id: 'CreatedApiKey' });

export type CreateKey = z.infer<typeof createKeySchema>;
export type KeyView = z.infer<typeof keyViewSchema>;
export type CreatedKey = z.infer<typeof createdKeySchema>;
