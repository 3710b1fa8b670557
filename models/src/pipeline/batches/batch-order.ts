/** Which examples stand in which batch of an epoch: a function of the seed and the epoch alone, so that training can resume anywhere. */
import { random, seedFrom } from '@graft/core/random';

export interface BatchPlan {
  readonly count: number;
  readonly batchSize: number;
  readonly seed: number;
}

/** Every example once, in random order; the last batch may be smaller. */
export function batchesOf({ count, batchSize, seed }: BatchPlan, epoch: number): readonly (readonly number[])[] {
  const order = random(seedFrom('order', seed, epoch)).shuffle([...Array(count).keys()]);
  return Array.from({ length: Math.ceil(count / batchSize) }, (_, i) => order.slice(i * batchSize, (i + 1) * batchSize));
}

/** The seed of one example's variant: the same wherever and whenever it is made. */
export function variantSeed(seed: number, exampleHash: string, variant: number): number {
  return seedFrom('variant', seed, exampleHash, variant);
}
