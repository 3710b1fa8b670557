/**
 * How the rounds of a task are run: when one closes, who is asked, and how long an answer is waited for.
 * Left out, a task runs as it always did: synchronous rounds, agents drawn by chance, the report window as deadline.
 * What each knob does and when to turn it: docs/policies.md.
 */
import { z } from 'zod';

/** Keys of rounds that are still trained on are kept: a limit on how many. */
export const longestStaleness = 64;

const maxStaleness = z.int().min(0).max(longestStaleness);

/**
 * - `synchronous`: a round closes at the goal, and what comes after it is not wanted.
 * - `bufferedAsynchronous` (FedBuff, Nguyen et al. 2022, https://arxiv.org/abs/2106.06639): a commit for every `cohort.goal`
 *   updates (the buffer size K), `cohort.max` agents at work at any time (the concurrency); a commit cancels nobody.
 * - `semiSynchronous`: rounds of one length, `windowMs`; who has reported by then counts, who reports later counts in the next.
 *
 * An update that started from the base of s rounds before weighs (1 + s)^-1/2, and none where s is over `maxStaleness`.
 */
export const roundPolicySchema = z.discriminatedUnion(
  'kind',
  [
    z.strictObject({ kind: z.literal('synchronous') }),
    z.strictObject({ kind: z.literal('bufferedAsynchronous'), maxStaleness: maxStaleness.default(10) }),
    z.strictObject({ kind: z.literal('semiSynchronous'), maxStaleness: maxStaleness.default(1) }),
  ],
  { error: "a policy's kind is 'synchronous', 'bufferedAsynchronous' or 'semiSynchronous'" },
);

/** A word that an operator gives to an agent, or that its own capabilities give it, such as 'icu' or 'device:cuda'. */
export const tagSchema = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9._:=-]{0,62}$/,
    'a tag has lower-case letters, digits, dot, dash, colon, equals and underscore, at most 63',
  );

/** Most tags of an agent, and most that a task may ask for. */
export const mostTags = 32;

/**
 * Who is asked first where more agents may take part than a round asks.
 *
 * - `random`: drawn by the run's seed.
 * - `leastRecentlyChosen`: who was asked longest ago.
 * - `utility` (Oort, Lai et al., OSDI 2021, https://arxiv.org/abs/2010.06081): whose examples teach most and soonest.
 */
export const selectionOrderSchema = z.discriminatedUnion(
  'kind',
  [
    z.strictObject({ kind: z.literal('random') }),
    z.strictObject({ kind: z.literal('leastRecentlyChosen') }),
    z.strictObject({
      kind: z.literal('utility'),
      /** Share of a cohort that is drawn among agents that never took part, in [0, 1]. */
      exploration: z.number().min(0).max(1).default(0.2),
      /** An agent that is x times slower than the median counts 1/x to this power; 0 ignores speed. */
      slownessPenalty: z.number().min(0).max(10).default(2),
    }),
  ],
  { error: "an order's kind is 'random', 'leastRecentlyChosen' or 'utility'" },
);

export const selectionSchema = z.strictObject({
  /** An agent needs all of these to be asked. */
  tags: z.array(tagSchema).max(mostTags).default([]),
  order: selectionOrderSchema.prefault({ kind: 'random' }),
});

export const deadlineSchema = z.strictObject({
  /**
   * With it, a round waits this many times as long as nine in ten agents have needed so far, and never longer than the report
   * window: who tells of progress gets more time, who is silent gets none. Without it, it waits for the report window.
   */
  patience: z
    .number()
    .min(1, 'patience is at least 1: a round that waits less than its agents need loses them')
    .max(100)
    .exactOptional(),
});

export type RoundPolicy = z.infer<typeof roundPolicySchema>;
export type Selection = z.infer<typeof selectionSchema>;
export type Deadline = z.infer<typeof deadlineSchema>;
