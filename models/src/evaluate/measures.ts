/**
 * What is measured of a classifier, as sums: sums over agents are sums over their examples, means are not.
 * Everything is computed in double precision from float32 logits.
 */
import { GraftError } from '@graft/core/error';
import type { Tensor } from '@graft/core/tensor';

export interface Measures {
  readonly examples: number;
  readonly correct: number;
  /** Sum over examples of -ln p(label), nats. */
  readonly lossSum: number;
}

export const noMeasures: Measures = { examples: 0, correct: 0, lossSum: 0 };

/**
 * Measures of one batch: the prediction is the largest logit, the first of equal ones; loss is softmax cross-entropy.
 * A row with a logit that is not finite is wrong, and its loss is infinite.
 * @param logits float32 [examples, classes]
 * @param labels index of the class of each example
 * Throws EVALUATION_MALFORMED where the shapes do not agree or a label is no class.
 */
export function measureLogits(logits: Tensor, labels: ArrayLike<number>): Measures {
  const { data, examples, classes } = matrixOf(logits, 'logits');
  if (labels.length !== examples) {
    throw new GraftError('EVALUATION_MALFORMED', `${labels.length} labels for ${examples} rows of logits`);
  }
  let correct = 0;
  let lossSum = 0;
  for (let row = 0; row < examples; row++) {
    const label = labels[row] ?? -1;
    if (!Number.isInteger(label) || label < 0 || label >= classes) {
      throw new GraftError('EVALUATION_MALFORMED', `label ${label} of example ${row} is none of ${classes} classes`);
    }
    const scores = data.subarray(row * classes, (row + 1) * classes);
    const normalizer = logSumExp(scores);
    if (!Number.isFinite(normalizer)) {
      lossSum = Infinity;
      continue;
    }
    lossSum += normalizer - (scores[label] ?? 0);
    if (largest(scores) === label) correct += 1;
  }
  return { examples, correct, lossSum };
}

/** Measures of all examples together. */
export function mergeMeasures(all: Iterable<Measures>): Measures {
  let { examples, correct, lossSum } = noMeasures;
  for (const measures of all) {
    examples += measures.examples;
    correct += measures.correct;
    lossSum += measures.lossSum;
  }
  return { examples, correct, lossSum };
}

/** Share of correct predictions, 0 to 1; NaN where nothing was measured. */
export function accuracyOf({ examples, correct }: Measures): number {
  return correct / examples;
}

/** Mean loss in nats; NaN where nothing was measured. */
export function meanLossOf({ examples, lossSum }: Measures): number {
  return lossSum / examples;
}

/**
 * Sum over examples of KL(p || q) = sum p ln(p / q), nats, with p and q the softmax of two models' logits: how far the
 * answers of the second are from those of the first. Infinite where a logit is not finite.
 * @param reference float32 [examples, classes]
 * @param candidate float32 [examples, classes]
 * Throws EVALUATION_MALFORMED where the shapes differ.
 */
export function klSumOf(reference: Tensor, candidate: Tensor): number {
  const p = matrixOf(reference, 'reference logits');
  const q = matrixOf(candidate, 'candidate logits');
  if (p.examples !== q.examples || p.classes !== q.classes) {
    throw new GraftError(
      'EVALUATION_MALFORMED',
      `logits of shape [${p.examples}, ${p.classes}] and [${q.examples}, ${q.classes}] cannot be compared`,
    );
  }
  let sum = 0;
  for (let row = 0; row < p.examples; row++) {
    const begin = row * p.classes;
    const left = p.data.subarray(begin, begin + p.classes);
    const right = q.data.subarray(begin, begin + p.classes);
    const [normalizerP, normalizerQ] = [logSumExp(left), logSumExp(right)];
    if (!Number.isFinite(normalizerP) || !Number.isFinite(normalizerQ)) return Infinity;
    let divergence = 0;
    for (let i = 0; i < p.classes; i++) {
      const logP = (left[i] ?? 0) - normalizerP;
      divergence += Math.exp(logP) * (logP - ((right[i] ?? 0) - normalizerQ));
    }
    // Rounding may leave a tiny negative number where both are equal.
    sum += Math.max(0, divergence);
  }
  return sum;
}

function matrixOf(value: Tensor, what: string): { data: Float32Array; examples: number; classes: number } {
  const [examples, classes, ...rest] = value.shape;
  if (value.dtype !== 'float32' || examples === undefined || classes === undefined || rest.length > 0 || classes < 1) {
    throw new GraftError(
      'EVALUATION_MALFORMED',
      `${what} are ${value.dtype} [${value.shape.join(', ')}], expected float32 [examples, classes]`,
    );
  }
  return { data: value.data, examples, classes };
}

/** ln sum e^x, shifted by the largest x so that nothing overflows; not finite where an x is not. */
function logSumExp(scores: Float32Array): number {
  let max = -Infinity;
  for (const score of scores) {
    if (!Number.isFinite(score)) return NaN;
    if (score > max) max = score;
  }
  let sum = 0;
  for (const score of scores) sum += Math.exp(score - max);
  return max + Math.log(sum);
}

function largest(scores: Float32Array): number {
  let best = 0;
  for (let i = 1; i < scores.length; i++) if ((scores[i] ?? 0) > (scores[best] ?? 0)) best = i;
  return best;
}
