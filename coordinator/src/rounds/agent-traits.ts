/** What the choice of a cohort goes by: what a site says of itself, and what its operator says of it. */
import { z } from 'zod';

import { mostTags, tagSchema } from '@graft/models/pipeline/schedule/round-policy';

import type { AgentTraits } from './machine/event.js';

const saidSchema = z.looseObject({
  device: z.string().optional(),
  tags: z.array(z.string()).optional(),
  declinedTasks: z.array(z.string()).optional(),
});

export interface AgentRow {
  readonly name: string;
  /** The operator's. */
  readonly tags: unknown;
  readonly capabilities: unknown;
}

/**
 * An agent has the tags of its operator, those of its site in lower case, and one for its device such as 'device:cuda'.
 * A tag says what an agent is fit for, not what it is allowed: what is no tag is left out, whoever said it.
 */
export function traitsOf({ name, tags, capabilities }: AgentRow): AgentTraits {
  const own = z.array(z.string()).safeParse(tags).data ?? [];
  const said = saidSchema.safeParse(capabilities).data ?? {};
  const device = said.device === undefined || said.device === '' ? [] : [`device:${said.device}`];
  const all = [...own, ...device, ...(said.tags ?? [])].map((tag) => tag.toLowerCase());
  const known = [...new Set(all)].filter((tag) => tagSchema.safeParse(tag).success).slice(0, mostTags * 3);
  return { name, tags: known.sort(), declinedTasks: said.declinedTasks ?? [] };
}
