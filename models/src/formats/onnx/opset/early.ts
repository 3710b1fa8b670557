/**
 * Opsets 1 to 6. Two inputs were only broadcast where an attribute said so, training was an attribute, and some operators took
 * as an attribute what is an input since, or the other way. Source: https://github.com/onnx/onnx/blob/main/docs/Changelog.md
 */
import type { ElementType } from '../../../graph/element-type.js';
import type { Node } from '../../../graph/graph.js';
import { dataTypeOf } from '../data-types.js';
import { attribute, cannotConvert, int64s, without } from './attributes.js';
import type { ConversionContext } from './history.js';
import { Steps } from './steps.js';

/** Until 6 a node could say which inputs it might overwrite. */
export function withoutReuse(node: Node): Node {
  return { ...node, attributes: without(node, 'consumed_inputs') };
}

/** Until 7 the axes of the second input began at `axis` of the first, from the end where it was left out. */
export function alignedBroadcast(node: Node, context: ConversionContext): Node[] {
  const axis = attribute(node, 'axis', 'int');
  const plain = { ...node, attributes: without(node, 'axis', 'broadcast') };
  if (axis === undefined || attribute(node, 'broadcast', 'int') !== 1) return [plain];
  const [a = '', b = ''] = node.inputs;
  const [rank, own] = [context.rank(a), context.rank(b)];
  if (rank === undefined || own === undefined)
    throw cannotConvert(node, `the rank of '${rank === undefined ? a : b}' is not known`);
  const missing = rank - own - (axis < 0 ? axis + rank : axis);
  if (missing <= 0) return [plain];
  const aligned = context.fresh(`${node.name}.aligned`);
  return [
    withTrailingAxes({ node, input: b, output: aligned, first: own, count: missing }),
    { ...plain, inputs: [a, aligned] },
  ];
}

/** In the form that Unsqueeze had until 13. */
function withTrailingAxes(each: { node: Node; input: string; output: string; first: number; count: number }): Node {
  const { node, input, output, first, count } = each;
  const axes = { kind: 'ints', value: Array.from({ length: count }, (_, i) => first + i) } as const;
  return {
    name: `${node.name}.aligned`,
    op: 'Unsqueeze',
    domain: '',
    inputs: [input],
    outputs: [output],
    attributes: { axes },
  };
}

/** Until 7 a slope for each channel had one axis. */
export function slopePerChannel(node: Node, context: ConversionContext): Node[] {
  const [x = '', slope = ''] = node.inputs;
  const [rank, own, size] = [context.rank(x), context.rank(slope), context.size(slope, 0)];
  if (size === 1 && own === 1) return [node];
  if (rank === undefined || own !== 1) throw cannotConvert(node, `the rank of '${x}' or '${slope}' is not known`);
  if (rank <= 2) return [node];
  const aligned = context.fresh(`${node.name}.aligned`);
  return [
    withTrailingAxes({ node, input: slope, output: aligned, first: 1, count: rank - 2 }),
    { ...node, inputs: [x, aligned] },
  ];
}

/** Until 7 a node was for training unless it said `is_test`. */
export function onlyTested(node: Node): Node[] {
  if (attribute(node, 'is_test', 'int') !== 1)
    throw cannotConvert(node, 'it is in training form; export the model for inference');
  return [{ ...node, attributes: without(node, 'is_test') }];
}

export function withoutBroadcast(node: Node): Node[] {
  return [{ ...node, attributes: without(node, 'broadcast') }];
}

export function withoutSequenceFlag(node: Node): Node[] {
  return [{ ...node, attributes: without(node, 'output_sequence') }];
}

/** Names of onnx.proto as they were written in `to` until 6. */
const namesOfTypes: Readonly<Record<string, ElementType>> = {
  FLOAT: 'float32',
  DOUBLE: 'float64',
};

export function typeByNumber(node: Node): Node[] {
  const name = attribute(node, 'to', 'string') ?? '';
  const type = namesOfTypes[name] ?? name.toLowerCase();
  if (!Object.hasOwn(dataTypeOf, type)) throw cannotConvert(node, `it casts to '${name}'`);
  return [{ ...node, attributes: { to: { kind: 'int', value: dataTypeOf[type as ElementType] } } }];
}

export function explicitAxis(node: Node): Node[] {
  return [{ ...node, attributes: { axis: { kind: 'int', value: attribute(node, 'axis', 'int') ?? 1 } } }];
}

export function shapeAsInput(node: Node, context: ConversionContext): Node[] {
  const shape = context.addConstant(`${node.name}.shape`, int64s(attribute(node, 'shape', 'ints') ?? []));
  return [{ ...node, inputs: [node.inputs[0] ?? '', shape], attributes: without(node, 'shape') }];
}

export function renamedPads(node: Node): Node[] {
  const { paddings, ...rest } = node.attributes;
  return [{ ...node, attributes: paddings === undefined ? rest : { ...rest, pads: paddings } }];
}

/** Version 1 took the sizes of the parts as an input as well. */
export function partsAsAttribute(node: Node, context: ConversionContext): Node[] {
  const [x = '', parts = ''] = node.inputs;
  if (parts === '') return [node];
  const sizes = context.constant(parts);
  if (sizes === undefined) throw cannotConvert(node, `the sizes of its parts '${parts}' are computed`);
  const value = Array.from(sizes.data as Iterable<number | bigint>, Number);
  return [{ ...node, inputs: [x], attributes: { ...node.attributes, split: { kind: 'ints', value } } }];
}

/** Version 1 repeated along one axis. */
export function repeatsOfAllAxes(node: Node, context: ConversionContext): Node[] {
  const [x = '', tiles = '', axis = ''] = node.inputs;
  const [count, along, rank] = [context.constant(tiles)?.data[0], context.constant(axis)?.data[0], context.rank(x)];
  if (count === undefined || along === undefined || rank === undefined) {
    throw cannotConvert(node, 'its repeats are computed, or its rank is not known');
  }
  const steps = new Steps(node, context);
  const repeats = Array.from({ length: rank }, (_, i) => (i === Number(along) ? Number(count) : 1));
  return [{ ...node, inputs: [x, steps.ints('repeats', repeats)] }];
}

export function scalesOfBoth(node: Node): Node[] {
  const [height, width] = ['height_scale', 'width_scale'].map((name) => attribute(node, name, 'float') ?? 1);
  const scales = { kind: 'floats', value: [1, 1, height ?? 1, width ?? 1] } as const;
  return [{ ...node, attributes: { ...without(node, 'height_scale', 'width_scale'), scales } }];
}

/** Until 6 the constants of Selu had five digits. */
export function shortConstants(node: Node): Node[] {
  const [alpha, gamma] = [attribute(node, 'alpha', 'float') ?? 1.6732, attribute(node, 'gamma', 'float') ?? 1.0507];
  return [{ ...node, attributes: { alpha: { kind: 'float', value: alpha }, gamma: { kind: 'float', value: gamma } } }];
}

/** Until 2 the power of an Lp pool was a float. */
export function wholePower(node: Node): Node[] {
  const p = attribute(node, 'p', 'float') ?? 2;
  if (!Number.isInteger(p)) throw cannotConvert(node, `p is ${p}, and must be whole since opset 2`);
  return [{ ...node, attributes: { ...node.attributes, p: { kind: 'int', value: p } } }];
}
