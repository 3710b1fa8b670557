/** What every loss reads and gives. */
import type { GraphBuilder } from '../../operators/graph-builder.js';
import { castTo } from '../../operators/broadcast.js';
import type { TargetRole } from '../training-step.js';

export interface LossSite {
  /** The output of the model, float32 or float64, [N, C] or [N, S, C], of any shape for regressions. */
  readonly output: string;
  /** Names of the target inputs. */
  readonly targets: Readonly<Partial<Record<TargetRole, string>>>;
}

export interface Loss {
  /** Scalar: the mean. */
  readonly loss: string;
  /** By the output, of its shape. */
  readonly gradient: string;
  /** Scalar: what the mean is over (examples, weights of labels, or elements). */
  readonly count: string;
}

/** A sum over everything, as a scalar. */
export function total(value: string, build: GraphBuilder): string {
  return build.add('ReduceSum', [value], { keepdims: 0 });
}

/** Elements of `value`, as a scalar of the type of `like`. */
export function countOf(value: string, like: string, build: GraphBuilder): string {
  return castTo(build.add('Size', [value]), build.typeOf(like).dtype, build);
}

/** Sums over the last axis, kept with size 1. */
export function rowSums(value: string, build: GraphBuilder): string {
  return build.add('ReduceSum', [value, build.ints([build.shapeOf(value).length - 1])], { keepdims: 1 });
}

/** Rows of [..., C]: the product of all axes but the last, as a scalar of the type of `value`. */
export function rowCount(value: string, build: GraphBuilder): string {
  const classes = build.shapeOf(value).at(-1);
  return build.add('Div', [countOf(value, value, build), build.scalar(Number(classes), value)]);
}
