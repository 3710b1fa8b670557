/**
 * Selection by utility, after Oort: Lai, Zhu, Madhyastha, Chowdhury, "Oort: Efficient Federated Learning via Guided Participant
 * Selection" (OSDI 2021, https://arxiv.org/abs/2010.06081), section 4, Algorithm 1:
 *
 *   util(i) = (|B_i| sqrt(mean_k loss_k^2)  +  bonus(i))  *  (T / t_i)^alpha  where t_i > T
 *
 * - Statistical utility: agents report the mean of their losses, not the mean of the squares, so the root is taken as that mean:
 *   it is never more (Jensen), and equal where the losses of a site are alike. Clipped at the 95th percentile, so that one
 *   site with an outlier of a loss is not asked for ever; then scaled to [0, 1].
 * - Bonus of staleness: sqrt(0.1 ln R / L_i), R the round in hand, L_i the one that last took an update of i: what is known of
 *   an agent gets old, and so everyone is asked again in the end.
 * - Speed: T is the median of the known times, t_i the agent's own.
 * - Exploitation draws, with probability by utility, among those within 95 % of the last place's utility;
 *   exploration draws a share of the places among agents that have never answered.
 */
import { random, type Random } from '@graft/core/random';

import type { Candidate } from './candidate.js';

export interface UtilityOptions {
  /** The round in hand, from 1. */
  readonly round: number;
  /** How many are to be asked. */
  readonly count: number;
  /** Share of them that never answered, in [0, 1]. */
  readonly exploration: number;
  /** alpha: 0 ignores speed. */
  readonly slownessPenalty: number;
}

/** Oort's cut-off: who is this near to the last place takes part in the draw. */
const cutOff = 0.95;
/** Losses above this quantile count as much as the one there. */
const clipQuantile = 0.95;

interface Scored {
  readonly id: string;
  readonly utility: number;
}

/** All candidates, the first to be asked first: the first `count` are the cohort, the others stand by. */
export function utilityOrder(candidates: readonly Candidate[], options: UtilityOptions, seed: number): string[] {
  const chance = random(seed);
  const known = utilities(candidates, options);
  const unknown = chance.shuffle(candidates.filter(({ answer }) => answer === undefined).map(({ id }) => id));
  const count = Math.min(options.count, candidates.length);
  // Rounded by chance, so that a small share is not always nobody.
  const wanted = Math.floor(count * options.exploration + chance.next());
  const explored = Math.min(unknown.length, Math.max(wanted, count - known.length));
  const exploited = drawByUtility(known, count - explored, chance);
  const first = [...exploited, ...unknown.slice(0, explored)];
  const rest = known.map(({ id }) => id).filter((id) => !exploited.includes(id));
  return [...first, ...rest, ...unknown.slice(explored)];
}

/** Who has answered, the most useful first; equals by id. */
export function utilities(candidates: readonly Candidate[], options: UtilityOptions): Scored[] {
  const answered = candidates.flatMap(({ id, answer }) => (answer === undefined ? [] : [{ id, answer }]));
  const raw = answered.map(({ answer }) => Math.max(0, finite(answer.exampleCount) * finite(answer.loss)));
  const clip = quantile(raw, clipQuantile);
  const medianMs = quantile(
    answered.map(({ answer }) => answer.tookMs),
    0.5,
  );
  return answered
    .map(({ id, answer }, place) => {
      const statistical = clip === 0 ? 0 : Math.min(raw[place] ?? 0, clip) / clip;
      const bonus = Math.sqrt((0.1 * Math.log(Math.max(1, options.round))) / Math.max(1, answer.round));
      const slowness = medianMs > 0 ? Math.max(1, answer.tookMs / medianMs) : 1;
      return { id, utility: (statistical + bonus) * slowness ** -options.slownessPenalty };
    })
    .sort((a, b) => b.utility - a.utility || (a.id < b.id ? -1 : 1));
}

/** Draws without replacement, with probability by utility, among those near enough to the last place. */
function drawByUtility(scored: readonly Scored[], count: number, chance: Random): string[] {
  if (count <= 0) return [];
  const least = (scored[Math.min(count, scored.length) - 1]?.utility ?? 0) * cutOff;
  const pool = scored.filter(({ utility }) => utility >= least);
  const drawn: string[] = [];
  while (drawn.length < count && pool.length > 0) {
    const total = pool.reduce((sum, { utility }) => sum + utility, 0);
    let left = chance.next() * total;
    const found = pool.findIndex(({ utility }) => (left -= utility) < 0);
    const [taken] = pool.splice(found === -1 ? 0 : found, 1);
    if (taken !== undefined) drawn.push(taken.id);
  }
  return drawn;
}

/** The value that a share `q` of the values do not exceed; 0 where there are none. */
function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? 0;
}

/** What an agent reports may be anything: it must not break the draw of the others. */
function finite(value: number): number {
  return Number.isFinite(value) ? value : 0;
}
