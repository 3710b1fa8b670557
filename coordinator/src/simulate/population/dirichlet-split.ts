/**
 * Data that differ from agent to agent: each draws the shares of the classes from a symmetric Dirichlet distribution (Hsu, Qi,
 * Brown, "Measuring the Effects of Non-Identical Data Distribution for Federated Visual Classification", 2019). A small
 * concentration gives an agent one or two classes, a large one gives all of them alike.
 * There are more agents than data: an agent draws without repetition, but two agents may draw the same example.
 */
import { random, type Random } from '@graft/core/random';

/**
 * Shares of `classes` classes that add up to 1: Dirichlet(alpha, ..., alpha), as normalised gamma variates.
 * Computed by logarithms, because a gamma variate of a small shape is smaller than float64 can hold.
 */
export function dirichletShares(classes: number, alpha: number, chance: Random): number[] {
  const logs = Array.from({ length: classes }, () => logGamma(alpha, chance));
  const largest = Math.max(...logs);
  const weights = logs.map((log) => Math.exp(log - largest));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}

/** Logarithm of a gamma variate of this shape (Marsaglia and Tsang, "A Simple Method for Generating Gamma Variables", 2000). */
function logGamma(shape: number, chance: Random): number {
  // Section 6: gamma(a) = gamma(a + 1) u^(1/a) for a < 1.
  if (shape < 1) return logGamma(shape + 1, chance) + Math.log(1 - chance.next()) / shape;
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = chance.normal();
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - chance.next()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return Math.log(d * v);
  }
}

/**
 * The examples of one agent, as indices into a data set, in random order.
 * @param byClass indices of the examples of each class
 * @param count how many it wants; fewer where its classes do not have as many
 */
export function examplesOf(
  byClass: readonly (readonly number[])[],
  { count, alpha, seed }: { readonly count: number; readonly alpha: number; readonly seed: number },
): number[] {
  const chance = random(seed);
  const shares = dirichletShares(byClass.length, alpha, chance);
  const wanted = apportion(shares, count);
  const drawn = byClass.flatMap((pool, label) => sample(pool, Math.min(wanted[label] ?? 0, pool.length), chance));
  return chance.shuffle(drawn);
}

/** Whole numbers in proportion to the shares that add up to `count`: largest remainders first (Hamilton's method). */
export function apportion(shares: readonly number[], count: number): number[] {
  const exact = shares.map((share) => share * count);
  const whole = exact.map(Math.floor);
  const left = count - whole.reduce((sum, value) => sum + value, 0);
  const order = exact.map((value, index) => ({ index, rest: value - Math.floor(value) }));
  order.sort((a, b) => b.rest - a.rest || a.index - b.index);
  for (const { index } of order.slice(0, Math.max(0, left))) whole[index] = (whole[index] ?? 0) + 1;
  return whole;
}

/** `count` different values of a pool. */
function sample(pool: readonly number[], count: number, { below }: Random): number[] {
  const chosen = new Set<number>();
  // Floyd's method: as many draws as values.
  for (let last = pool.length - count; last < pool.length; last++) {
    const at = below(last + 1);
    chosen.add(chosen.has(at) ? last : at);
  }
  return [...chosen].map((at) => pool[at] ?? 0);
}
