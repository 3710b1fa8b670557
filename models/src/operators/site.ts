/** Reading a node: its attributes, and what must be known of its inputs. */
import { GraftError } from '@graft/core/error';

import type { Dimension, Node } from '../graph/graph.js';
import type { Known, Site } from './operator.js';

export function intOf(node: Node, name: string, otherwise: number): number {
  const attribute = node.attributes[name];
  return attribute?.kind === 'int' ? attribute.value : otherwise;
}

export function floatOf(node: Node, name: string, otherwise: number): number {
  const attribute = node.attributes[name];
  return attribute?.kind === 'float' || attribute?.kind === 'int' ? attribute.value : otherwise;
}

export function stringOf(node: Node, name: string, otherwise: string): string {
  const attribute = node.attributes[name];
  return attribute?.kind === 'string' ? attribute.value : otherwise;
}

export function intsOf(node: Node, name: string): readonly number[] | undefined {
  const attribute = node.attributes[name];
  return attribute?.kind === 'ints' ? attribute.value : undefined;
}

export function describe({ name, op }: Node): string {
  return `node '${name}' (${op})`;
}

export function malformed(node: Node, what: string): GraftError {
  return new GraftError('MODEL_MALFORMED', `${describe(node)} ${what}`, { details: { node: node.name, op: node.op } });
}

export function unsupported(node: Node, what: string): GraftError {
  return new GraftError('MODEL_UNSUPPORTED', `${describe(node)} ${what}`, {
    details: { node: node.name, op: node.op },
  });
}

export function notDifferentiable(node: Node, what: string): GraftError {
  return new GraftError('NOT_DIFFERENTIABLE', `${describe(node)} ${what}`, {
    details: { node: node.name, op: node.op },
  });
}

export function gradientMissing(node: Node, what: string): GraftError {
  return new GraftError('GRADIENT_MISSING', `${describe(node)} ${what}`, { details: { node: node.name, op: node.op } });
}

/** What is known of an input that must be there. */
export function inputOf({ node, inputs }: Site, index: number): Known {
  const known = inputs[index];
  if (known === undefined) throw malformed(node, `has no input ${index}`);
  return known;
}

/** The shape of an input whose rank must be known. */
export function shapeOf(site: Site, index: number): readonly Dimension[] {
  const { shape } = inputOf(site, index);
  if (shape === undefined) {
    throw unsupported(site.node, `needs the shape of '${site.node.inputs[index] ?? ''}', which is not known`);
  }
  return shape;
}

/** The numbers of an input that must be constant, undefined where it is left out; symbols are an error. */
export function numbersOf(site: Site, index: number): readonly number[] | undefined {
  const known = site.inputs[index];
  if (known === undefined) return undefined;
  const numbers = known.elements?.filter((element) => typeof element === 'number');
  if (numbers === undefined || numbers.length !== known.elements?.length) {
    throw unsupported(site.node, `needs '${site.node.inputs[index] ?? ''}' as a constant`);
  }
  return numbers;
}

/** The sizes that an input gives, undefined where they are not known: numbers are whole and at least `least`. */
export function sizesOf(site: Site, index: number, least = 0): readonly Dimension[] | undefined {
  const { elements } = inputOf(site, index);
  const wrong = elements?.find((size) => typeof size === 'number' && !(Number.isSafeInteger(size) && size >= least));
  if (wrong === undefined) return elements;
  throw malformed(
    site.node,
    `takes ${wrong} as a size of '${site.node.inputs[index] ?? ''}'; sizes are whole and at least ${least}`,
  );
}

/** A dimension that must be a number, for gradients that build constants from it. */
export function fixedSize(site: Site, dimension: Dimension | undefined, what: string): number {
  if (typeof dimension === 'number') return dimension;
  throw unsupported(
    site.node,
    `needs a fixed ${what}, which is '${dimension ?? '?'}'; fix the size of the examples first`,
  );
}

/** An axis counted from the front. Throws MODEL_MALFORMED outside of the rank. */
export function axisOf(node: Node, axis: number, rank: number): number {
  const result = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(result) || result < 0 || result >= rank) {
    throw malformed(node, `has axis ${axis}, the rank is ${rank}`);
  }
  return result;
}
