/**
 * A model as data: an ONNX graph normalised to one opset, and its weights beside it.
 * Everything behind the importer knows this opset and no other.
 */
import type { Tensor, Weights } from '@graft/core/tensor';

import type { ElementType, OpaqueTensor } from './element-type.js';

/** The internal opset of the default ONNX domain. */
export const internalOpset = 21;

/** A dimension is a number or a symbol; equal symbols are equal sizes. */
export type Dimension = number | string;

/** A value that is no tensor itself: a list of tensors, or one that may be missing. */
export type Container = 'sequence' | 'optional' | 'optional sequence';

export interface ValueType {
  readonly dtype: ElementType;
  /** Undefined where even the rank is unknown. */
  readonly shape?: readonly Dimension[];
  /** Where it is there, `dtype` and `shape` are those of the tensors inside. */
  readonly container?: Container;
}

export interface Value extends ValueType {
  readonly name: string;
}

export type Attribute =
  | { readonly kind: 'int'; readonly value: number }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'tensor'; readonly value: Tensor }
  | { readonly kind: 'graph'; readonly value: Graph }
  | { readonly kind: 'ints'; readonly value: readonly number[] }
  | { readonly kind: 'floats'; readonly value: readonly number[] }
  | { readonly kind: 'strings'; readonly value: readonly string[] }
  | { readonly kind: 'opaque'; readonly value: OpaqueTensor }
  | { readonly kind: 'type'; readonly value: ValueType };

export interface Node {
  /** Unique in its graph. */
  readonly name: string;
  readonly op: string;
  /** '' is the default ONNX domain. */
  readonly domain: string;
  /** '' stands for an optional input that is left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

export interface Graph {
  readonly name: string;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  /** Names and types of the tensors in the weights file; never also in `inputs`. */
  readonly weights: readonly Value[];
  /** In topological order. */
  readonly nodes: readonly Node[];
}

/** A graph with its weights in hand. */
export interface Model {
  readonly graph: Graph;
  readonly weights: Weights;
}
