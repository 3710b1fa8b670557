/**
 * Losses of class scores [N, C, ...] against labels [N, ...]:
 * https://onnx.ai/onnx/operators/onnx__SoftmaxCrossEntropyLoss.html, onnx__NegativeLogLikelihoodLoss.html
 */
import { tensor } from '@graft/core/tensor';

import type { Dimension } from '../../graph/graph.js';
import { castTo, maskOf } from '../broadcast.js';
import type { GraphBuilder } from '../graph-builder.js';
import { operator, sizeOf, type GradientSite, type Known, type OperatorRows, type Site } from '../operator.js';
import { fixedSize, inputOf, intOf, malformed, shapeOf, stringOf } from '../site.js';

type Reduction = 'none' | 'mean' | 'sum';

function reductionOf({ node }: Site): Reduction {
  const given = stringOf(node, 'reduction', 'mean');
  if (given === 'none' || given === 'mean' || given === 'sum') return given;
  throw malformed(node, `has reduction '${given}', which is none of none, mean, sum`);
}

function lossType(site: Site): Known {
  const shape: readonly Dimension[] = reductionOf(site) === 'none' ? shapeOf(site, 1) : [];
  return { dtype: inputOf(site, 0).dtype, shape };
}

/** The weight of each label as [N, 1, ...], 0 for those that are ignored; and 1 at the label, [N, C, ...]. */
interface Labels {
  readonly weights: string;
  readonly truth: string;
  /** 1 for labels that count, [N, 1, ...]; undefined where all do. */
  readonly valid: string | undefined;
}

function labelsOf(site: GradientSite, build: GraphBuilder): Labels {
  const [scores = '', labels = '', classWeights = ''] = site.node.inputs;
  const shape = shapeOf(site, 0);
  const classes = fixedSize(site, shape[1], 'number of classes');
  const dtype = build.typeOf(labels).dtype;
  const int64 = dtype === 'int64' ? labels : castTo(labels, 'int64', build);
  const column = build.add('Unsqueeze', [int64, build.ints([1])]);
  const numbers = tensor(
    'int64',
    [classes, ...shape.slice(2).map(() => 1)],
    BigInt64Array.from({ length: classes }, (_, i) => BigInt(i)),
  );
  const truth = maskOf(build.add('Equal', [column, build.constant(numbers)]), scores, build);
  const valid = validOf(site, { column, scores }, build);
  if (classWeights === '') return { weights: valid ?? ones(column, scores, build), truth, valid };
  const shaped = build.add('Reshape', [classWeights, build.ints([-1, ...shape.slice(2).map(() => 1)])]);
  const weighted = build.add('ReduceSum', [build.add('Mul', [truth, shaped]), build.ints([1])], { keepdims: 1 });
  return { weights: valid === undefined ? weighted : build.add('Mul', [weighted, valid]), truth, valid };
}

const ones = (like: string, scores: string, build: GraphBuilder): string =>
  build.add('Expand', [build.scalar(1, scores), build.add('Shape', [like])]);

/** 1 for labels that count; undefined where all do. */
function validOf(
  { node }: GradientSite,
  { column, scores }: { column: string; scores: string },
  build: GraphBuilder,
): string | undefined {
  if (node.attributes['ignore_index'] === undefined) return undefined;
  const ignored = build.constant(tensor('int64', [], BigInt64Array.of(BigInt(intOf(node, 'ignore_index', 0)))));
  return maskOf(build.add('Not', [build.add('Equal', [column, ignored])]), scores, build);
}

/** The gradient by each label's own loss, [N, 1, ...], times the label's weight. */
function shareOf(site: GradientSite, { weights }: Labels, build: GraphBuilder): string | undefined {
  const [dy] = site.outputGradients;
  if (dy === undefined) return undefined;
  if (reductionOf(site) === 'none') {
    return build.add('Mul', [weights, build.add('Unsqueeze', [dy, build.ints([1])])]);
  }
  const share = build.add('Mul', [weights, dy]);
  if (reductionOf(site) === 'sum') return share;
  return build.add('Div', [share, build.add('ReduceSum', [weights], { keepdims: 0 })]);
}

/**
 * By the class weights: each label's -log p goes to its class, and since a mean divides by the sum of the weights, the loss is
 * taken off there. `likelihoods` holds the log p, [N, C, ...].
 */
function byClassWeights(
  site: GradientSite,
  { labels, likelihoods }: { labels: Labels; likelihoods: string },
  build: GraphBuilder,
): string | undefined {
  const [dy] = site.outputGradients;
  if (dy === undefined || !site.wants(2)) return undefined;
  const { truth, valid, weights } = labels;
  const chosen = build.add('ReduceSum', [build.add('Mul', [truth, likelihoods]), build.ints([1])], { keepdims: 1 });
  const losses = build.add('Neg', [chosen]);
  const reduction = reductionOf(site);
  const terms = (): string => {
    if (reduction === 'none') return build.add('Mul', [losses, build.add('Unsqueeze', [dy, build.ints([1])])]);
    if (reduction === 'sum') return build.add('Mul', [losses, dy]);
    const share = build.add('Div', [dy, build.add('ReduceSum', [weights], { keepdims: 0 })]);
    return build.add('Mul', [build.add('Sub', [losses, site.node.outputs[0] ?? '']), share]);
  };
  const counted = valid === undefined ? terms() : build.add('Mul', [terms(), valid]);
  const others = shapeOf(site, 0).flatMap((_, axis) => (axis === 1 ? [] : [axis]));
  return build.add('ReduceSum', [build.add('Mul', [truth, counted]), build.ints(others)], { keepdims: 0 });
}

/** -dy w at the label. */
function likelihoodGradient(site: GradientSite, build: GraphBuilder): (string | undefined)[] {
  const [likelihoods = ''] = site.node.inputs;
  const labels = labelsOf(site, build);
  const share = shareOf(site, labels, build);
  if (share === undefined) return [];
  const byScores = build.add('Neg', [build.add('Mul', [labels.truth, share])]);
  return [byScores, undefined, byClassWeights(site, { labels, likelihoods }, build)];
}

/** dy w (p - 1 at the label), and where the log-probabilities are used themselves dl - p sum dl. */
function crossEntropyGradient(site: GradientSite, build: GraphBuilder): (string | undefined)[] {
  const [scores = ''] = site.node.inputs;
  const [, byLogarithms] = site.outputGradients;
  const logarithms = site.node.outputs[1] || build.add('LogSoftmax', [scores], { axis: 1 });
  const probabilities = build.add('Exp', [logarithms]);
  const labels = labelsOf(site, build);
  const share = shareOf(site, labels, build);
  const parts: string[] = [];
  if (share !== undefined) {
    parts.push(build.add('Mul', [build.add('Sub', [probabilities, labels.truth]), share]));
  }
  if (byLogarithms !== undefined) {
    const sum = build.add('ReduceSum', [byLogarithms, build.ints([1])], { keepdims: 1 });
    parts.push(build.add('Sub', [byLogarithms, build.add('Mul', [probabilities, sum])]));
  }
  const byWeights = byClassWeights(site, { labels, likelihoods: logarithms }, build);
  return [parts.length === 2 ? build.add('Add', parts) : parts[0], undefined, byWeights];
}

const perScore =
  (count: number) =>
  ({ inputs: [scores] }: Site): number =>
    count * sizeOf(scores);

export const classificationLossOperators: OperatorRows = {
  NegativeLogLikelihoodLoss: operator({
    infer: (site) => [lossType(site)],
    gradient: likelihoodGradient,
    flops: perScore(1),
  }),
  SoftmaxCrossEntropyLoss: operator({
    infer: (site) => [lossType(site), { dtype: inputOf(site, 0).dtype, shape: shapeOf(site, 0) }],
    gradient: crossEntropyGradient,
    flops: perScore(12),
  }),
};
