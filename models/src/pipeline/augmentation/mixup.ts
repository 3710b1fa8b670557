/** Mixup (Zhang et al., 2018, https://arxiv.org/abs/1710.09412): examples and their labels are blended in pairs of a batch. */
import { random, type Random } from '@graft/core/random';
import { tensor, type Tensor } from '@graft/core/tensor';

export interface Mixed {
  readonly features: Tensor<'float32'>;
  /** [batch, classes]: the share of each class; rows sum to 1. */
  readonly targets: Tensor<'float32'>;
}

/**
 * x' = lambda x_i + (1 - lambda) x_j and the same of the one-hot labels, with one lambda ~ Beta(alpha, alpha) a batch.
 * @param features [batch, ...]
 */
export function mixup(
  features: Tensor<'float32'>,
  labels: Int32Array,
  { alpha, classes, seed }: { readonly alpha: number; readonly classes: number; readonly seed: number },
): Mixed {
  const source = random(seed);
  const lambda = beta(alpha, source);
  const partner = source.shuffle([...labels.keys()]);
  const length = features.data.length / Math.max(1, labels.length);
  const blended = new Float32Array(features.data.length);
  const targets = new Float32Array(labels.length * classes);
  for (const [row, label] of labels.entries()) {
    const other = partner[row] ?? row;
    for (let i = 0; i < length; i++) {
      blended[row * length + i] =
        lambda * (features.data[row * length + i] ?? 0) + (1 - lambda) * (features.data[other * length + i] ?? 0);
    }
    const own = row * classes + label;
    const theirs = row * classes + (labels[other] ?? label);
    targets[own] = (targets[own] ?? 0) + lambda;
    targets[theirs] = (targets[theirs] ?? 0) + 1 - lambda;
  }
  return {
    features: tensor('float32', features.shape, blended),
    targets: tensor('float32', [labels.length, classes], targets),
  };
}

/** Beta(alpha, alpha) by Jöhnk (1964): u^(1/a) / (u^(1/a) + v^(1/a)) where the sum is at most 1; in logarithms, for small alpha. */
function beta(alpha: number, source: Random): number {
  if (alpha > 1) return gammaShare(alpha, source);
  for (;;) {
    const x = Math.log(1 - source.next()) / alpha;
    const y = Math.log(1 - source.next()) / alpha;
    const larger = Math.max(x, y);
    const sum = larger + Math.log(Math.exp(x - larger) + Math.exp(y - larger));
    if (sum <= 0) return Math.exp(x - sum);
  }
}

function gammaShare(alpha: number, source: Random): number {
  const [x, y] = [gamma(alpha, source), gamma(alpha, source)];
  return x / (x + y);
}

/** Gamma(shape), shape over 1 (Marsaglia and Tsang, 2000). */
function gamma(shape: number, source: Random): number {
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = source.normal();
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - source.next()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
  }
}
