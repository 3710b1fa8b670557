/** What a step counts beside its loss, in the graph, so that logits need not leave the runtime. */
import { GraftError } from '@graft/core/error';
import { tensor } from '@graft/core/tensor';

import { castTo } from '../../operators/broadcast.js';
import type { GraphBuilder } from '../../operators/graph-builder.js';
import { fixedSizeOf } from '../fixed-size.js';
import { rowSums, total, type Loss } from '../losses/loss.js';
import { oneHot } from '../losses/one-hot.js';
import type { MetricOutput, MetricSpec } from '../training-step.js';

export interface MetricSite {
  /** The output that the loss is of, [..., C]. */
  readonly output: string;
  /** int32 [...]; undefined where the loss has no integer labels. */
  readonly labels: string | undefined;
  readonly loss: Loss;
}

/**
 * Adds the outputs of the metrics; all sums over the batch, so that those of batches add up. Labels outside of 0 to C - 1 count for nothing.
 * Throws MODEL_UNSUPPORTED where a metric needs integer labels and the loss has none, or k is not in 1 to C.
 */
export function addMetrics(metrics: readonly MetricSpec[], site: MetricSite, build: GraphBuilder): MetricOutput[] {
  return metrics.flatMap((metric): MetricOutput[] => {
    const { kind } = metric;
    if (kind === 'scores') return [{ kind, output: site.output }];
    if (kind === 'loss-sum') {
      const sum = build.add('Mul', [site.loss.loss, site.loss.count]);
      return [
        { kind, output: sum },
        { kind: 'count', output: build.add('Identity', [site.loss.count]) },
      ];
    }
    const { labels } = site;
    if (labels === undefined) throw unsupported(`the metric '${kind}' needs a loss with integer labels`);
    const labelled = { output: site.output, labels };
    if (kind === 'confusion') return [{ kind, output: confusion(labelled, build) }];
    return [{ kind, output: amongLargest(kind === 'top-k' ? metric.k : 1, labelled, build) }];
  });
}

interface Labelled {
  readonly output: string;
  readonly labels: string;
}

/**
 * Examples with fewer than k logits above that of their label, counting equal ones of smaller classes as above,
 * as PyTorch's topk on the processor takes the first of equal ones.
 */
function amongLargest(k: number, { output, labels }: Labelled, build: GraphBuilder): string {
  const classes = fixedSizeOf(build.shapeOf(output).at(-1), 'classes');
  if (!Number.isInteger(k) || k < 1 || k > classes) {
    throw unsupported(`the metric 'top-k' has k = ${k}; it must be from 1 to ${classes}`);
  }
  const truth = oneHot(labels, output, build);
  const own = rowSums(build.add('Mul', [truth, output]), build);
  const above = castTo(build.add('Greater', [output, own]), 'float32', build);
  const equal = castTo(build.add('Equal', [output, own]), 'float32', build);
  const before = build.add('Mul', [equal, smallerClasses(labels, output, build)]);
  const ahead = rowSums(build.add('Add', [above, before]), build);
  const hit = castTo(build.add('Less', [ahead, build.scalar(k, ahead)]), 'float32', build);
  return total(build.add('Mul', [hit, rowSums(truth, build)]), build);
}

/** 1 where the class is below the label, [..., C]. */
function smallerClasses(labels: string, output: string, build: GraphBuilder): string {
  const shape = build.shapeOf(output);
  const classes = Number(shape.at(-1));
  const numbers = Int32Array.from({ length: classes }, (_, i) => i);
  const row = build.constant(tensor('int32', [...Array<number>(shape.length - 1).fill(1), classes], numbers));
  const column = build.add('Unsqueeze', [labels, build.ints([shape.length - 1])]);
  return castTo(build.add('Less', [row, column]), 'float32', build);
}

/** Counts [label, predicted]: the product of the rows of labels and of predictions, both one-hot. */
function confusion({ output, labels }: Labelled, build: GraphBuilder): string {
  const classes = fixedSizeOf(build.shapeOf(output).at(-1), 'classes');
  const flat = (value: string): string => build.add('Reshape', [value, build.ints([-1, classes])]);
  const rows = build.add('Transpose', [flat(oneHot(labels, output, build))], { perm: [1, 0] });
  return build.add('MatMul', [rows, flat(oneHot(firstLargest(output, classes, build), output, build))]);
}

/** The smallest class among those with the largest logit, int32 [...]. */
function firstLargest(output: string, classes: number, build: GraphBuilder): string {
  const axis = build.shapeOf(output).length - 1;
  const axes = build.ints([axis]);
  const largest = build.add('Equal', [output, build.add('ReduceMax', [output, axes], { keepdims: 1 })]);
  const numbers = Float32Array.from({ length: classes }, (_, i) => i);
  const row = build.constant(tensor('float32', [...Array<number>(axis).fill(1), classes], numbers));
  const first = build.add('ReduceMin', [build.add('Where', [largest, row, build.scalar(classes, row)]), axes], {
    keepdims: 0,
  });
  return castTo(first, 'int32', build);
}

function unsupported(message: string): GraftError {
  return new GraftError('MODEL_UNSUPPORTED', message);
}
