/**
 * FederatedAveraging: McMahan, Moore, Ramage, Hampson, Aguera y Arcas, "Communication-Efficient Learning of Deep
 * Networks from Decentralized Data" (AISTATS 2017), Algorithm 1, server side:
 *
 *   w(t+1) = w(t) + sum_k (n_k / n) s_k delta_k,   n = sum_k n_k
 *
 * s_k is 1 in the paper. An update that is stale counts less of its share, and nobody gets the rest: as in FedBuff
 * (Nguyen et al. 2022, Algorithm 1) the sum is divided by what came, not by what it weighs, so a round of stale updates
 * is a smaller step.
 *
 * The sum runs in float64. Where nothing is stale a product n_k * delta_k is exact there (24 bits of a float32 times at most
 * 24 bits of a count), so only the K - 1 additions round: two orders of the same K updates differ by at most
 * 2 (K - 1) 2^-53 sum_k |n_k delta_k| in an element. One order gives the same bits on every machine,
 * whichever way the vector is cut into parts; that is why a caller folds in a canonical order.
 */
import type { Strategy } from './strategy.js';

/** A running sum, never a list of updates: its size does not depend on how many there are. */
export interface FedAvgSum {
  /** sum_k n_k s_k delta_k */
  readonly weighted: Float64Array;
  exampleCount: number;
  updateCount: number;
}

export interface FedAvgReport {
  readonly updateCount: number;
  readonly exampleCount: number;
  /** Squared L2 norm of the mean delta; squared, so that reports of parts add up. */
  readonly squaredNorm: number;
}

export const fedAvg: Strategy<FedAvgSum, FedAvgReport> = {
  name: 'fed-avg',

  init: (length) => ({ weighted: new Float64Array(length), exampleCount: 0, updateCount: 0 }),

  accumulate(sum, { delta, offset, exampleCount, weight = 1 }) {
    const { weighted } = sum;
    if (offset < 0 || offset + delta.length > weighted.length) {
      throw new RangeError(`elements ${offset} to ${offset + delta.length} lie outside a sum of ${weighted.length}`);
    }
    if (!Number.isSafeInteger(exampleCount) || exampleCount < 1) {
      throw new RangeError(`an update needs an example count of at least 1, got ${exampleCount}`);
    }
    if (!(weight > 0 && weight <= 1)) throw new RangeError(`a weight lies in (0, 1], got ${weight}`);
    const factor = exampleCount * weight;
    for (let i = 0; i < delta.length; i++) {
      weighted[offset + i] = (weighted[offset + i] as number) + factor * (delta[i] as number);
    }
    // Every update has exactly one first part, so this counts it once.
    if (offset === 0) {
      sum.exampleCount += exampleCount;
      sum.updateCount += 1;
    }
  },

  report({ weighted, exampleCount, updateCount }) {
    let squared = 0;
    for (let i = 0; i < weighted.length; i++) squared += (weighted[i] as number) ** 2;
    return { updateCount, exampleCount, squaredNorm: exampleCount === 0 ? 0 : squared / exampleCount ** 2 };
  },

  apply(weights, { weighted, exampleCount }) {
    if (weights.length !== weighted.length) {
      throw new RangeError(`a sum of ${weighted.length} elements cannot be applied to ${weights.length} weights`);
    }
    if (exampleCount === 0) return;
    for (let i = 0; i < weights.length; i++) {
      weights[i] = (weights[i] as number) + (weighted[i] as number) / exampleCount;
    }
  },
};
