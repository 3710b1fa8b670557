/** Gradients of several micro-batches as if they were one batch. */
import { castTo } from '../../operators/broadcast.js';
import type { GraphBuilder } from '../../operators/graph-builder.js';
import type { ScalarRole, Slot } from '../training-step.js';

export interface Accumulation {
  /** Gradients of the whole batch so far, one vector a group. */
  readonly vectors: readonly string[];
  readonly slots: readonly Slot[];
  /** Bool scalar: whether weights and state change in this run; undefined where they always do. */
  readonly gate: string | undefined;
}

/**
 * A <- A + share g, where share is the part of this micro-batch in the batch (n / N, which makes means of parts the mean of all);
 * where apply is 1 the weights change by A, and A starts again at zero. A run whose gradients are not finite adds nothing.
 */
export function accumulated(
  given: {
    vectors: readonly string[];
    finite: string | undefined;
    scalars: Readonly<Partial<Record<ScalarRole, string>>>;
  },
  build: GraphBuilder,
): Accumulation {
  const { vectors, finite, scalars } = given;
  const apply = castTo(scalars.apply ?? '', 'bool', build);
  const sums: string[] = [];
  const slots = vectors.map((vector, i): Slot => {
    const input = `train/accumulated.${i}`;
    const shape = build.shapeOf(vector).map(Number);
    build.declare(input, { dtype: 'float32', shape });
    const sum = build.add('Add', [input, build.add('Mul', [vector, scalars.share ?? ''])]);
    const kept = finite === undefined ? sum : build.add('Where', [finite, sum, input]);
    sums.push(kept);
    return { input, output: build.add('Where', [apply, build.scalar(0, kept), kept]), shape };
  });
  return { vectors: sums, slots, gate: finite === undefined ? apply : build.add('And', [apply, finite]) };
}
