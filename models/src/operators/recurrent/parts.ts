/** Gradients of a recurrent layer from those of its directions. */
import type { GraphBuilder } from '../graph-builder.js';
import type { GradientSite } from '../operator.js';
import { ofDirection, turned, type Direction } from './direction.js';

/** What a direction found, each written when it is asked for. */
export interface DirectionGradients {
  /** By the input, [steps, N, inputs], in this direction's order of time. */
  readonly x: () => string;
  /** By W, R, B and further weights, without the axis of directions, by place of the input. */
  readonly weights: Readonly<Record<number, () => string>>;
  /** By initial states, [1, N, hidden], by place of the input. */
  readonly states: Readonly<Record<number, () => string>>;
}

/** Gradients by all inputs of the node. */
export function joined(
  site: GradientSite,
  directions: readonly { readonly direction: Direction; readonly found: DirectionGradients }[],
  build: GraphBuilder,
): (string | undefined)[] {
  const concat = (values: readonly string[]): string =>
    values.length === 1 ? (values[0] ?? '') : build.add('Concat', values, { axis: 0 });
  return site.node.inputs.map((name, place) => {
    if (name === '' || !site.wants(place)) return undefined;
    if (place === 0) {
      const parts = directions.map(({ direction, found }) => turned(direction, found.x()));
      return parts.length === 1 ? parts[0] : build.add('Add', parts);
    }
    const weights = directions.flatMap(({ found }) => found.weights[place]?.() ?? []);
    if (weights.length > 0) return concat(weights.map((value) => build.add('Unsqueeze', [value, build.ints([0])])));
    const states = directions.flatMap(({ found }) => found.states[place]?.() ?? []);
    return states.length > 0 ? concat(states) : undefined;
  });
}

/** All steps of all examples as rows [steps N, width]. */
export function rowsOf(value: string, width: number, build: GraphBuilder): string {
  return build.add('Reshape', [value, build.ints([-1, width])]);
}

/** Rows of all steps as they stand beside `like`, [steps, N, width]. */
export function seriesOf(rows: string, like: string, { width, build }: { width: number; build: GraphBuilder }): string {
  const lead = build.add('Shape', [like], { start: 0, end: 2 });
  return build.add('Reshape', [rows, build.add('Concat', [lead, build.ints([width])], { axis: 0 })]);
}

export interface LayerWeights {
  /** [gates hidden, inputs] and [gates hidden, hidden]. */
  readonly w: string;
  readonly r: string;
  /** [gates hidden] each, of W and of R; undefined where the node has none. */
  readonly biases: readonly [string, string] | undefined;
}

export function weightsOf(direction: Direction, build: GraphBuilder): LayerWeights {
  const [, w = '', r = '', b = ''] = direction.site.node.inputs;
  const whole = b === '' ? undefined : ofDirection(direction, b, 0);
  const halves =
    whole === undefined
      ? undefined
      : build.addMany('Split', [whole, build.ints([0, 1].map(() => Number(build.shapeOf(whole)[0]) / 2))], 2, {
          axis: 0,
        });
  return {
    w: ofDirection(direction, w, 0),
    r: ofDirection(direction, r, 0),
    biases: halves === undefined ? undefined : [halves[0] ?? '', halves[1] ?? ''],
  };
}

/** rows weight' + bias, where bias is a vector or rows. */
export function projected(rows: string, weight: string, bias: string | undefined, build: GraphBuilder): string {
  return build.add('Gemm', bias === undefined ? [rows, weight] : [rows, weight, bias], { transB: 1 });
}

/** a' b: the gradient by a weight from rows of gradients and rows of values. */
export function outer(gradients: string, values: string, build: GraphBuilder): string {
  return build.add('Gemm', [gradients, values], { transA: 1 });
}

export const sumOfRows = (rows: string, build: GraphBuilder): string =>
  build.add('ReduceSum', [rows, build.ints([0])], { keepdims: 0 });

/** A part of rows or of a weight, of `count` gates from gate `first` on. */
export function gatesOf(
  value: string,
  { first, count, axis, hidden }: { first: number; count: number; axis: number; hidden: number },
  build: GraphBuilder,
): string {
  const ranges = [first * hidden, (first + count) * hidden].map((place) => build.ints([place]));
  return build.add('Slice', [value, ranges[0] ?? '', ranges[1] ?? '', build.ints([axis])]);
}
