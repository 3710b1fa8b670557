/** What rows of two tensors that broadcast are made with. */
import type { Dimension } from '../../graph/graph.js';
import { broadcastType, unbroadcast } from '../broadcast.js';
import type { GraphBuilder } from '../graph-builder.js';
import { knownOf } from '../known.js';
import { operator, type Known, type Operator, type Site } from '../operator.js';

export interface Operands {
  readonly a: string;
  readonly b: string;
  readonly y: string;
  readonly dy: string;
  readonly build: GraphBuilder;
}

/** The gradient by one operand, of the shape of the result; undefined where it is zero. */
export type Derivative = (operands: Operands) => string | undefined;

/** The result for one element of each operand, undefined where it is not known. */
export type Fold = (a: Dimension, b: Dimension, dtype: string) => Dimension | undefined;

export const numbers =
  (compute: (a: number, b: number) => number): Fold =>
  (a, b) =>
    typeof a === 'number' && typeof b === 'number' ? compute(a, b) : undefined;

/** Whole numbers and symbols, which are sizes, by one rule; other numbers by another. */
export const sizes =
  (ofSizes: (a: Dimension, b: Dimension) => Dimension | undefined, compute: (a: number, b: number) => number): Fold =>
  (a, b) => {
    if (typeof a === 'number' && typeof b === 'number') return compute(a, b);
    const whole = [a, b].every((each) => typeof each === 'string' || Number.isInteger(each));
    return whole ? ofSizes(a, b) : undefined;
  };

/** The type of operands that broadcast, with their numbers combined where they are known. */
export function foldedType(site: Site, fold: Fold | undefined, dtype?: Known['dtype']): Known {
  const type = broadcastType(site, [0, 1], dtype);
  const [a, b] = site.inputs.map((known) => known?.elements);
  if (fold === undefined || a === undefined || b === undefined) return type;
  if (a.length !== b.length && a.length !== 1 && b.length !== 1) return type;
  const length = Math.max(a.length, b.length);
  const elements = Array.from({ length }, (_, i) => {
    const [left, right] = [a[a.length === 1 ? 0 : i], b[b.length === 1 ? 0 : i]];
    return left === undefined || right === undefined ? undefined : fold(left, right, site.inputs[0]?.dtype ?? '');
  }).filter((element) => element !== undefined);
  return elements.length === length ? knownOf(type.dtype, type.shape, elements) : type;
}

/** A row of two operands from the derivatives by each, before the sum over broadcast axes. */
export function binary(byA: Derivative, byB: Derivative, fold?: Fold): Operator {
  return operator({
    infer: (site) => [foldedType(site, fold)],
    gradient: ({ node, outputGradients: [dy], wants }, build) => {
      const [a = '', b = ''] = node.inputs;
      if (dy === undefined) return [];
      const operands = { a, b, y: node.outputs[0] ?? '', dy, build };
      const by = (derivative: Derivative, operand: string): string | undefined => {
        const gradient = derivative(operands);
        return gradient === undefined ? undefined : unbroadcast(gradient, operand, build);
      };
      return [wants(0) ? by(byA, a) : undefined, wants(1) ? by(byB, b) : undefined];
    },
  });
}
