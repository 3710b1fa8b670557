/** A release as the admin API shows it. */
import { z } from 'zod';

export const releaseViewSchema = z
  .object({
    id: z.string(),
    taskId: z.string(),
    runId: z.string(),
    round: z.int(),
    precision: z.enum(['fp32', 'int8']),
    measures: z.looseObject({}).meta({ description: 'what the gate measured and decided' }),
    createdAtMs: z.int(),
  })
  .meta({ id: 'Release' });

export type ReleaseView = z.infer<typeof releaseViewSchema>;
