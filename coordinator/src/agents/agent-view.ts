/** An agent as the admin API shows it. */
import { z } from 'zod';

import { mostTags, tagSchema } from '@graft/models/pipeline/schedule/round-policy';

export const setTagsSchema = z.strictObject({ tags: z.array(tagSchema).max(mostTags) }).meta({ id: 'SetTags' });

export const letBackSchema = z.strictObject({ task: z.string().min(1).max(64).optional() }).meta({ id: 'LetBack' });

export const agentViewSchema = z
  .object({
    id: z.string(),
    name: z.string().meta({ description: 'the name under which the site was invited' }),
    state: z.enum(['pending', 'active', 'revoked']),
    connected: z.boolean().meta({ description: 'has an open instruction stream now' }),
    paused: z.string().optional().meta({ description: 'why it takes no work now; absent where it does' }),
    expectedAtMs: z
      .int()
      .optional()
      .meta({ description: 'when it comes back, where it was sent away because it was not needed' }),
    tags: z.array(z.string()).meta({ description: 'given by the operator; those of the site are capabilities' }),
    quarantines: z
      .array(z.object({ task: z.string(), reason: z.string(), sinceMs: z.int(), untilMs: z.int() }))
      .optional()
      .meta({
        description: 'tasks that it is not asked for, because its updates were refused; absent where there are none',
      }),
    createdAtMs: z.int(),
    lastSeenAtMs: z.int().optional(),
    agentVersion: z.string().optional(),
    capabilities: z
      .object({
        device: z.string().meta({ description: 'what training runs on: cpu, cuda or webgpu' }),
        threads: z.int(),
        trainingExamples: z.int(),
        heldOutExamples: z.int(),
        tags: z.array(z.string()).optional().meta({ description: 'words of the choice of the site' }),
        declinedTasks: z.array(z.string()).optional().meta({ description: 'tasks that the site takes no part in' }),
      })
      .optional(),
    activity: z
      .object({
        runId: z.string(),
        round: z.int(),
        activity: z.string(),
        progress: z.number(),
        loss: z.number(),
        atMs: z.int(),
      })
      .optional()
      .meta({ description: 'what it said last that it does' }),
  })
  .meta({ id: 'Agent' });

export type LetBack = z.infer<typeof letBackSchema>;
export type SetTags = z.infer<typeof setTagsSchema>;
export type AgentView = z.infer<typeof agentViewSchema>;
