/**
 * The norm of an update against the median of others: an update that is scaled up, by mistake or on purpose,
 * outweighs everyone (Sun, Kairouz, Suresh, McMahan, "Can You Really Backdoor Federated Learning?", 2019, bound norms).
 *
 * Of a round that needs `min` updates, t = floor((min - 1) / 2) may come from attackers, fewer than half: of those that are in,
 * the reference is never below the (t + 1)-th smallest norm, which at least one honest agent stands for. So an honest update
 * is not refused where the honest norms of the run lie within `maxNormRatio` of each other, whoever reports first.
 */
import type { Refusal } from './event.js';
import { membersIn, type RunState } from './state.js';

/** Fewer accepted norms than this have no median worth the name. */
export const leastNorms = 3;

export interface NormLimit {
  readonly limit: number;
  readonly median: number;
  readonly ratio: number;
  readonly source: string;
}

/** Median norm of the accepted updates of this round; 0 where there are none. */
export function medianNorm(state: RunState): number {
  return median(membersIn(state, 'accepted').map((id) => state.members[id]?.update?.norm ?? 0));
}

/**
 * The largest norm that an update may have now; undefined where there is nothing to hold it against.
 * Sites converge at different times: where most have nothing left to learn, their median says nothing about the others,
 * so the reference never falls below what an earlier round of the run has shown to be honest.
 */
export function normLimit(state: RunState): NormLimit | undefined {
  const ratio = state.plan.limits.maxNormRatio;
  const accepted = membersIn(state, 'accepted').length;
  const own = ownReference(state);
  const earlier = state.largestMedianNorm ?? 0;
  const reference = Math.max(own, earlier);
  if (reference === 0) return undefined;
  const source = own >= earlier ? `${accepted} updates of this round` : 'an earlier round';
  return { limit: reference * ratio, median: reference, ratio, source };
}

/** The median, or more where attackers may be half of those that are in; 0 where too few are. */
function ownReference(state: RunState): number {
  const norms = membersIn(state, 'accepted').map((id) => state.members[id]?.update?.norm ?? 0);
  const attackers = Math.floor((state.plan.cohort.min - 1) / 2);
  if (norms.length < Math.max(leastNorms, attackers + 1)) return 0;
  return Math.max(median(norms), norms.sort((a, b) => a - b)[attackers] ?? 0);
}

export function checkNorm(norm: number, against: NormLimit | undefined): Refusal | undefined {
  if (against === undefined || norm <= against.limit) return undefined;
  const { limit, median: middle, ratio, source } = against;
  return {
    reason: 'norm',
    message: `the norm of the update is ${show(norm)}, the limit is ${show(limit)}: ${ratio} times the median ${show(middle)} of ${source}`,
  };
}

function show(value: number): string {
  return value.toPrecision(4);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}
