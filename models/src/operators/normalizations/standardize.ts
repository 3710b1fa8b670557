/** Values moved to mean 0 and scaled to variance 1 along axes, and back through that. */
import { tensor } from '@graft/core/tensor';

import type { GraphBuilder } from '../graph-builder.js';

export interface Standardized {
  /** (x - mean) inv */
  readonly normalized: string;
  /** 1 / sqrt(var + epsilon), with axes of size 1. */
  readonly inverse: string;
}

const meanOf = (value: string, axes: readonly number[], build: GraphBuilder): string =>
  build.add('ReduceMean', [value, build.ints(axes)], { keepdims: 1 });

export function standardized(
  x: string,
  { axes, epsilon }: { axes: readonly number[]; epsilon: number },
  build: GraphBuilder,
): Standardized {
  const centered = build.add('Sub', [x, meanOf(x, axes, build)]);
  const variance = meanOf(build.add('Mul', [centered, centered]), axes, build);
  const deviation = build.add('Sqrt', [build.add('Add', [variance, build.scalar(epsilon, x)])]);
  const inverse = build.add('Reciprocal', [deviation]);
  return { normalized: build.add('Mul', [centered, inverse]), inverse };
}

/** The same along the last axis, in one node of the runtime where its size is known. */
export function standardizedRows(rows: string, epsilon: number, build: GraphBuilder): Standardized {
  const shape = build.shapeOf(rows);
  const [width, { dtype }] = [shape.at(-1), build.typeOf(rows)];
  if (typeof width !== 'number' || dtype !== 'float32') {
    return standardized(rows, { axes: [shape.length - 1], epsilon }, build);
  }
  const ones = build.constant(tensor('float32', [width], new Float32Array(width).fill(1)));
  const attributes = { epsilon: { float: epsilon } };
  const [normalized = '', , inverse = ''] = build.addMany('LayerNormalization', [rows, ones], 3, attributes);
  return { normalized, inverse };
}

/** inv (g - mean g - xh mean(g xh)), where g is the gradient by the normalized value xh. */
export function standardizedGradient(
  g: string,
  { normalized, inverse, axes }: Standardized & { axes: readonly number[] },
  build: GraphBuilder,
): string {
  const projection = build.add('Mul', [normalized, meanOf(build.add('Mul', [g, normalized]), axes, build)]);
  const rest = build.add('Sub', [build.add('Sub', [g, meanOf(g, axes, build)]), projection]);
  return build.add('Mul', [rest, inverse]);
}
