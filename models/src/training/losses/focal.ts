/** Focal loss over softmax, for classes of very different size: Lin et al. 2017, https://arxiv.org/abs/1708.02002, equation 5. */
import type { GraphBuilder } from '../../operators/graph-builder.js';
import { countOf, rowSums, total, type Loss, type LossSite } from './loss.js';
import type { FocalSpec } from './loss-spec.js';
import { oneHot } from './one-hot.js';

/**
 * With q = 1 - p_y: mean of -w_y q^gamma log p_y over the examples; gradient w_y q^(gamma-1) (gamma p_y log p_y - q) (y - p) / N.
 * q is the sum of the other classes' probabilities, which loses no digits where p_y is nearly 1.
 */
export function focal({ gamma = 2 }: FocalSpec, { output: logits, targets }: LossSite, build: GraphBuilder): Loss {
  const labels = targets.labels ?? '';
  const weights = targets['class-weights'];
  const logarithms = build.add('LogSoftmax', [logits], { axis: -1 });
  const probabilities = build.add('Exp', [logarithms]);
  const truth = oneHot(labels, logits, build);
  const others = build.add('Sub', [build.scalar(1, truth), truth]);
  const logarithm = rowSums(build.add('Mul', [truth, logarithms]), build);
  const missed = rowSums(build.add('Mul', [others, probabilities]), build);
  const power = (exponent: number): string => powerOf(missed, exponent, build);
  const ofLabel = (value: string): string =>
    weights === undefined ? value : build.add('Mul', [value, rowSums(build.add('Mul', [truth, weights]), build)]);
  const count = countOf(labels, logits, build);
  const sum = total(ofLabel(build.add('Mul', [power(gamma), logarithm])), build);
  const chance = build.add('Exp', [logarithm]);
  const gain = build.add('Mul', [build.add('Mul', [chance, logarithm]), build.scalar(gamma, chance)]);
  const slope = ofLabel(build.add('Mul', [power(gamma - 1), build.add('Sub', [gain, missed])]));
  const direction = build.add('Sub', [truth, probabilities]);
  return {
    loss: build.add('Neg', [build.add('Div', [sum, count])]),
    gradient: build.add('Div', [build.add('Mul', [slope, direction]), count]),
    count,
  };
}

/** Powers below zero are of at least 1e-12, since examples that are certain have q = 0. */
function powerOf(value: string, exponent: number, build: GraphBuilder): string {
  if (exponent === 1) return value;
  const base = exponent < 0 ? build.add('Max', [value, build.scalar(1e-12, value)]) : value;
  return build.add('Pow', [base, build.scalar(exponent, value)]);
}
