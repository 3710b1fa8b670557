/**
 * How much an update counts that started from an earlier base: FedBuff (Nguyen et al. 2022, https://arxiv.org/abs/2106.06639,
 * section 5.1), after Xie, Koyejo and Gupta, "Asynchronous Federated Optimization" (2019):
 *
 *   weight(s) = (1 + s)^-1/2,   s = commits between the base that it started from and the fold that takes it
 */

/** In (0, 1]; 1 for an update of the newest base. Throws a RangeError for a staleness that is no count. */
export function stalenessWeight(staleness: number): number {
  if (!Number.isSafeInteger(staleness) || staleness < 0) {
    throw new RangeError(`a staleness is a count of commits, got ${staleness}`);
  }
  return 1 / Math.sqrt(1 + staleness);
}
