/** The words of opset conversion: an operator's history, and what a converter is given. */
import type { Tensor } from '@graft/core/tensor';

import type { ElementType } from '../../../graph/element-type.js';
import type { Node } from '../../../graph/graph.js';

/** What a converter may ask of the graph around its node, and make in it. */
export interface ConversionContext {
  /** The value of a name that is a weight, else undefined. */
  constant(name: string): Tensor | undefined;
  /** The rank of a value where the nodes before it determine it, else undefined. */
  rank(name: string): number | undefined;
  /** A size of a graph input or weight, of an axis from either end; undefined for a symbol and for what a node makes. */
  size(name: string, axis: number): number | undefined;
  /** The element type of a value, followed back to where it is declared; undefined where that leads nowhere. */
  elementType(name: string): ElementType | undefined;
  /** Whether a node or an output reads the name. */
  isRead(name: string): boolean;
  /** Adds a constant and returns its name, unique and beginning with `hint`. */
  addConstant(hint: string, value: Tensor): string;
  /** A name that nothing uses. */
  fresh(hint: string): string;
}

/** A node of the version before, as nodes of this version with the same meaning, to the last bit. */
export type Converter = (node: Node, context: ConversionContext) => readonly Node[];

export interface OperatorHistory {
  /** Every version of the operator, from the ONNX changelog: https://github.com/onnx/onnx/blob/main/docs/Changelog.md */
  readonly versions: readonly number[];
  /** How to enter a version that changed meaning or form. A version that is not listed allows more types or values, nothing else. */
  readonly into?: Readonly<Record<number, Converter>>;
  /** One of several ways to write a node of the internal opset, where runtimes do not run the others right. */
  readonly plain?: Converter;
  /** How to write a node of a file's opset past the internal one with operators of the internal one. */
  readonly lower?: (node: Node, context: ConversionContext, opset: number) => readonly Node[];
  /** Born after the internal opset and not to be written without: such nodes stay, and their file says the opset of their birth. */
  readonly late?: true;
  /** Attributes that a version after the internal opset added; a node that uses one cannot go back. */
  readonly laterAttributes?: readonly string[];
}

/** The histories of one family of operators, by name. */
export type Family = Readonly<Record<string, OperatorHistory>>;
