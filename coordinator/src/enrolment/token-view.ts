/** Enrolment tokens as the admin API takes and shows them. */
import { z } from 'zod';

import { nameSchema } from '@graft/models/pipeline/task-spec';

const hourMs = 3_600_000;

export const createTokenSchema = z
  .strictObject({
    /** The site's name. */
    name: nameSchema,
    expiresInMs: z
      .int()
      .min(1_000)
      .max(30 * 24 * hourMs)
      .default(24 * hourMs),
    /** True where an operator wants to approve the agent before it takes part. */
    approval: z.boolean().default(false),
  })
  .meta({ id: 'CreateEnrolmentToken' });

export const tokenViewSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    state: z.enum(['open', 'used', 'expired', 'revoked']),
    approval: z.boolean(),
    createdAtMs: z.int(),
    expiresAtMs: z.int(),
    usedAtMs: z.int().optional(),
    agentId: z.string().optional(),
  })
  .meta({ id: 'EnrolmentToken' });

export const inviteViewSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    token: z.string().meta({ description: 'shown this once; only its hash is kept' }),
    server: z.string().meta({ description: 'host:port of the enrolment service' }),
    fingerprint: z.string().meta({ description: 'sha256 of the CA certificate' }),
    command: z.string().meta({ description: 'the line to type at the site' }),
    expiresAtMs: z.int(),
  })
  .meta({ id: 'Invite' });

export type CreateToken = z.infer<typeof createTokenSchema>;
export type TokenView = z.infer<typeof tokenViewSchema>;
export type InviteView = z.infer<typeof inviteViewSchema>;
