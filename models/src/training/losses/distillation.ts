/** Learning from another model's logits: Hinton et al. 2015, https://arxiv.org/abs/1503.02531 */
import type { GraphBuilder } from '../../operators/graph-builder.js';
import { rowCount, total, type Loss, type LossSite } from './loss.js';
import type { DistillationSpec } from './loss-spec.js';
import { softmaxCrossEntropy } from './softmax-cross-entropy.js';

/**
 * T^2 KL(q || p) as a mean over the rows, with q and p the softmax of teacher / T and logits / T: gradient T (p - q) / N.
 * Targets: 'teacher'.
 */
export function softenedDivergence(
  temperature: number,
  { output: logits, targets }: LossSite,
  build: GraphBuilder,
): Loss {
  const softened = (value: string): string => {
    const divided = temperature === 1 ? value : build.add('Mul', [value, build.scalar(1 / temperature, value)]);
    return build.add('LogSoftmax', [divided], { axis: -1 });
  };
  const [student, teacher] = [softened(logits), softened(targets.teacher ?? '')];
  const [probabilities, truth] = [student, teacher].map((value) => build.add('Exp', [value]));
  const count = rowCount(logits, build);
  const share = (factor: number): string => build.add('Div', [build.scalar(factor, logits), count]);
  const sum = total(build.add('Mul', [truth ?? '', build.add('Sub', [teacher, student])]), build);
  return {
    loss: build.add('Mul', [sum, share(temperature ** 2)]),
    gradient: build.add('Mul', [build.add('Sub', [probabilities ?? '', truth ?? '']), share(temperature)]),
    count,
  };
}

/** The softened divergence and the cross-entropy with labels, (1 - hard) to hard. */
export function distillation(
  { temperature = 2, hard = 0.5 }: DistillationSpec,
  site: LossSite,
  build: GraphBuilder,
): Loss {
  const soft = softenedDivergence(temperature, site, build);
  if (hard === 0) return soft;
  const labelled = softmaxCrossEntropy({ kind: 'softmax-cross-entropy' }, site, build);
  const mixed = (key: 'loss' | 'gradient'): string =>
    build.add('Add', [
      build.add('Mul', [soft[key], build.scalar(1 - hard, soft[key])]),
      build.add('Mul', [labelled[key], build.scalar(hard, labelled[key])]),
    ]);
  return { loss: mixed('loss'), gradient: mixed('gradient'), count: soft.count };
}
