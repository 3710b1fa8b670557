/** Softmax cross-entropy with its gradient: https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html */
import { tensor } from '@graft/core/tensor';

import { castTo } from '../../operators/broadcast.js';
import type { GraphBuilder } from '../../operators/graph-builder.js';
import { countOf, rowCount, rowSums, total, type Loss, type LossSite } from './loss.js';
import type { SoftmaxCrossEntropySpec } from './loss-spec.js';
import { oneHot } from './one-hot.js';

/**
 * With t = (1 - smoothing) y + smoothing / C and v = w t: loss = -sum v log p / D, gradient (p sum_c v - v) / D.
 * D counts the examples; with weights and integer labels it sums the weights of the labels, without those that are ignored.
 * A batch of ignored labels only has loss 0.
 */
export function softmaxCrossEntropy(spec: SoftmaxCrossEntropySpec, site: LossSite, build: GraphBuilder): Loss {
  const { output: logits, targets } = site;
  const logarithms = build.add('LogSoftmax', [logits], { axis: -1 });
  const soft = spec.labels === 'soft';
  const labels = targets.labels ?? '';
  const truth = soft ? labels : oneHot(labels, logits, build);
  const valid = soft ? undefined : validRows(spec, { labels, logits }, build);
  const values = weighted(smoothed(spec, { truth, logits, valid }, build), targets['class-weights'], build);
  const count = soft
    ? rowCount(logits, build)
    : countOfLabels({ truth, labels, valid, weights: targets['class-weights'] }, build);
  const sum = total(build.add('Mul', [logarithms, values]), build);
  const probabilities = build.add('Exp', [logarithms]);
  const sumsToOne = !soft && valid === undefined && targets['class-weights'] === undefined;
  const expected = sumsToOne ? probabilities : build.add('Mul', [probabilities, rowSums(values, build)]);
  return {
    loss: build.add('Neg', [build.add('Div', [sum, count])]),
    gradient: build.add('Div', [build.add('Sub', [expected, values]), count]),
    count,
  };
}

/** 1 for labels that count, [..., 1]; undefined where all do. */
function validRows(
  { ignoreIndex }: SoftmaxCrossEntropySpec,
  { labels, logits }: { labels: string; logits: string },
  build: GraphBuilder,
): string | undefined {
  if (ignoreIndex === undefined) return undefined;
  const ignored = build.add('Equal', [labels, build.constant(tensor('int32', [], Int32Array.of(ignoreIndex)))]);
  const valid = castTo(build.add('Not', [ignored]), build.typeOf(logits).dtype, build);
  return build.add('Unsqueeze', [valid, build.ints([build.shapeOf(logits).length - 1])]);
}

/** (1 - smoothing) truth + smoothing / C in valid rows, zeros elsewhere. */
function smoothed(
  { smoothing = 0 }: SoftmaxCrossEntropySpec,
  { truth, logits, valid }: { truth: string; logits: string; valid: string | undefined },
  build: GraphBuilder,
): string {
  const inRows = (value: string): string => (valid === undefined ? value : build.add('Mul', [value, valid]));
  if (smoothing === 0) return inRows(truth);
  const classes = Number(build.shapeOf(logits).at(-1));
  const share = build.add('Mul', [truth, build.scalar(1 - smoothing, truth)]);
  return inRows(build.add('Add', [share, build.scalar(smoothing / classes, truth)]));
}

function weighted(values: string, weights: string | undefined, build: GraphBuilder): string {
  return weights === undefined ? values : build.add('Mul', [values, weights]);
}

function countOfLabels(
  given: { truth: string; labels: string; valid: string | undefined; weights: string | undefined },
  build: GraphBuilder,
): string {
  const { truth, labels, valid, weights } = given;
  if (valid === undefined && weights === undefined) return countOf(labels, truth, build);
  const inRows = valid === undefined ? truth : build.add('Mul', [truth, valid]);
  const sum =
    weights === undefined && valid !== undefined ? total(valid, build) : total(weighted(inRows, weights, build), build);
  if (valid === undefined) return sum;
  return build.add('Where', [build.add('Greater', [sum, build.scalar(0, sum)]), sum, build.scalar(1, sum)]);
}
