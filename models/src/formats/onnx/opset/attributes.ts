/** Reading and moving attributes while nodes are converted. */
import { tensor, type Tensor } from '@graft/core/tensor';
import { GraftError } from '@graft/core/error';

import type { Attribute, Node } from '../../../graph/graph.js';
import { toFloat16 } from '../../float16.js';
import type { ConversionContext } from './history.js';

type AttributeValues = { readonly [K in Attribute['kind']]: Extract<Attribute, { kind: K }>['value'] };

/** Attributes of the node without those named. */
export function without(node: Node, ...names: readonly string[]): Record<string, Attribute> {
  return Object.fromEntries(Object.entries(node.attributes).filter(([name]) => !names.includes(name)));
}

/** The value of an attribute of this kind; undefined where the node has none. Throws where it is of another kind. */
export function attribute<K extends Attribute['kind']>(
  node: Node,
  name: string,
  kind: K,
): AttributeValues[K] | undefined {
  const found = Object.hasOwn(node.attributes, name) ? node.attributes[name] : undefined;
  if (found === undefined) return undefined;
  if (found.kind !== kind) {
    throw new GraftError('MODEL_MALFORMED', `attribute '${name}' of node '${node.name}' is ${found.kind}, not ${kind}`);
  }
  return found.value as AttributeValues[K];
}

export function int64s(values: readonly number[]): Tensor<'int64'> {
  return tensor('int64', [values.length], BigInt64Array.from(values, BigInt));
}

export function float32s(values: readonly number[]): Tensor<'float32'> {
  return tensor('float32', [values.length], Float32Array.from(values));
}

/** An attribute of integers as the name of a constant; '' where the node has none. */
export function intsAsInput(node: Node, name: string, context: ConversionContext): string {
  const values = attribute(node, name, 'ints');
  return values === undefined ? '' : context.addConstant(`${node.name}.${name}`, int64s(values));
}

/** A float attribute as the name of a scalar constant of the data's type; '' where the node has none. */
export function floatAsInput(node: Node, name: string, context: ConversionContext): string {
  const value = attribute(node, name, 'float');
  if (value === undefined) return '';
  return context.addConstant(`${node.name}.${name}`, scalarLikeData(node, value, context));
}

function scalarLikeData(node: Node, value: number, context: ConversionContext): Tensor {
  const dtype = context.elementType(node.inputs[0] ?? '');
  switch (dtype) {
    case 'float32':
      return tensor(dtype, [], Float32Array.of(value));
    case 'float64':
      return tensor(dtype, [], Float64Array.of(value));
    case 'float16':
      return tensor(dtype, [], toFloat16(Float32Array.of(value)));
    default:
      throw cannotConvert(node, `the element type of '${node.inputs[0] ?? ''}' is ${dtype ?? 'not known'}`);
  }
}

/** Without '' at the end, where an optional input that is left out need not be written. */
export function trimmed(inputs: readonly string[]): string[] {
  const last = inputs.findLastIndex((name) => name !== '');
  return inputs.slice(0, last + 1);
}

/** The error of a change that keeps no meaning. */
export function cannotConvert(node: Node, reason: string): GraftError {
  return new GraftError('MODEL_UNSUPPORTED', `node '${node.name}' (${node.op}) cannot be converted: ${reason}`);
}
