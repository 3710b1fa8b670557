/**
 * What is known of an operator, in one row: the types of its results, its gradient, its cost and who runs it.
 * Shape inference, differentiation, conversion and reports all read these rows.
 */
import type { ValueType, Dimension, Node } from '../graph/graph.js';
import type { GraphBuilder } from './graph-builder.js';

/** What is known of a value before anything runs. */
export interface Known extends ValueType {
  /** The numbers of a small constant tensor, in row-major order; those of shape computations may be symbols. */
  readonly elements?: readonly Dimension[];
}

/** A node with what is known of its inputs. */
export interface Site {
  readonly node: Node;
  /** Undefined for an optional input that is left out. */
  readonly inputs: readonly (Known | undefined)[];
}

export interface GradientSite extends Site {
  readonly outputs: readonly (Known | undefined)[];
  /** Name of the loss's gradient by each output; undefined where it is zero. */
  readonly outputGradients: readonly (string | undefined)[];
  /** Whether anybody needs the gradient by this input. */
  readonly wants: (index: number) => boolean;
}

/**
 * Adds nodes to `build` that compute the gradient by each input that is wanted, of the input's shape.
 * Result: their names by input, undefined where not wanted or zero.
 */
export type Gradient = (site: GradientSite, build: GraphBuilder) => readonly (string | undefined)[];

export type RuntimeName = 'onnxruntime';

export interface Operator {
  /** Types of the outputs. Throws MODEL_MALFORMED or MODEL_UNSUPPORTED. */
  readonly infer: (site: Site) => readonly Known[];
  readonly gradient: Gradient | 'not differentiable';
  /** Floating-point operations, a multiplication and an addition counted as two; symbols count as 1. */
  readonly flops: (site: Site, outputs: readonly Known[]) => number;
  readonly runtimes: readonly RuntimeName[];
}

/** Rows of the table by operator type of the default domain. */
export type OperatorRows = Readonly<Record<string, Operator>>;

const everywhere: readonly RuntimeName[] = ['onnxruntime'];

/** Elements of a shape; symbols count as 1. */
export function sizeOf(known: Known | undefined): number {
  return (known?.shape ?? []).reduce<number>((size, each) => size * (typeof each === 'number' ? each : 1), 1);
}

/** A row; the cost is one operation an element of the first output unless `flops` says more. */
export function operator(row: Pick<Operator, 'infer' | 'gradient'> & { flops?: Operator['flops'] }): Operator {
  return { flops: (_, [first]) => sizeOf(first), runtimes: everywhere, ...row };
}

/** A row of an operator that only moves or names data. */
export function movement(row: Pick<Operator, 'infer' | 'gradient'>): Operator {
  return { ...row, flops: () => 0, runtimes: everywhere };
}
