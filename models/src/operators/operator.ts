/**
 * What is known of an operator, in one row: the types of its results, its gradient, its cost and who runs it.
 * Shape inference, differentiation, conversion and reports all read these rows.
 */

import { bytesOfElement } from '../graph/element-type.js';
import type { ValueType, Dimension, Graph, Node } from '../graph/graph.js';
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
  /** Types of the results of a body of the node for inputs of these types; what it reads from outside is known there. */
  readonly inferBody?: (body: Graph, inputs: readonly Known[]) => readonly Known[];
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

export type RuntimeName = 'onnxruntime' | 'tfjs';

export interface Operator {
  /** Types of the outputs. Throws MODEL_MALFORMED or MODEL_UNSUPPORTED. */
  readonly infer: (site: Site) => readonly Known[];
  /** 'not differentiable' where there is none, 'not yet' where there is one that nobody has written: GRADIENT_MISSING. */
  readonly gradient: Gradient | 'not differentiable' | 'not yet';
  /** Floating-point operations, a multiplication and an addition counted as two; symbols count as 1. */
  readonly flops: (site: Site, outputs: readonly Known[]) => number;
  /** Bytes read and written; symbols count as 1. */
  readonly bytes: (site: Site, outputs: readonly Known[]) => number;
  readonly runtimes: readonly RuntimeName[];
}

/** Rows of the table by operator type of the default domain. */
export type OperatorRows = Readonly<Record<string, Operator>>;

const everywhere: readonly RuntimeName[] = ['onnxruntime'];

/** Elements of a shape; symbols count as 1. */
export function sizeOf(known: Known | undefined): number {
  return (known?.shape ?? []).reduce<number>((size, each) => size * (typeof each === 'number' ? each : 1), 1);
}

/** Bytes of a value; symbols count as 1. */
export function bytesOfKnown(known: Known | undefined): number {
  return known === undefined ? 0 : sizeOf(known) * bytesOfElement(known.dtype);
}

const sumOfBytes = (values: readonly (Known | undefined)[]): number =>
  values.reduce((total, known) => total + bytesOfKnown(known), 0);

type RowOf<Given extends keyof Operator> = Pick<Operator, 'infer' | 'gradient'> & Partial<Pick<Operator, Given>>;

/** A row; the cost is one operation an element of the first output and the bytes of inputs and outputs unless the row says more. */
export function operator(row: RowOf<'flops' | 'bytes'>): Operator {
  return {
    flops: (_, [first]) => sizeOf(first),
    bytes: ({ inputs }, outputs) => sumOfBytes(inputs) + sumOfBytes(outputs),
    runtimes: everywhere,
    ...row,
  };
}

/** A row of an operator that only moves data: what it writes is copied. */
export function movement(row: RowOf<'bytes'>): Operator {
  return { flops: () => 0, bytes: (_, outputs) => sumOfBytes(outputs), runtimes: everywhere, ...row };
}

/** A row of an operator that gives the same bytes another name or shape. */
export function view(row: RowOf<never>): Operator {
  return { ...row, flops: () => 0, bytes: () => 0, runtimes: everywhere };
}
