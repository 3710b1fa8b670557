/**
 * GraphProto to graph and weights, still in the opset of the file. Constant nodes and initializers become weights;
 * those of subgraphs move to the top, under a name of their own, since a graph keeps all weights in one file.
 */
import type { Tensor } from '@graft/core/tensor';
import { tensor } from '@graft/core/tensor';
import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';

import type { Attribute, Graph, Node, Value } from '../../graph/graph.js';
import { dtypeFrom } from './data-types.js';
import { integer, type AttributeProto, type GraphProto, type NodeProto, type ValueInfoProto } from './onnx-schema.js';
import { readTensor } from './tensor-proto.js';

/** Where a (sub)graph is read: what has been gathered so far, and how its constants are called outside. */
interface Scope {
  readonly weights: Map<string, Tensor>;
  readonly depth: number;
  readonly prefix: string;
  /** Names of constants that moved to the top, of this graph and those around it. */
  readonly moved: ReadonlyMap<string, string>;
  readonly budget: { nodes: number };
}

export interface ReadGraph {
  readonly graph: Omit<Graph, 'weights'>;
  readonly weights: Map<string, Tensor>;
}

/** Throws MODEL_MALFORMED, MODEL_TOO_LARGE or MODEL_UNSUPPORTED, naming the first place that is wrong. */
export function readGraph(proto: GraphProto): ReadGraph {
  const weights = new Map<string, Tensor>();
  const scope = { weights, depth: 0, prefix: '', moved: new Map(), budget: { nodes: limits.graphNodes } };
  return { graph: readScope(proto, scope), weights };
}

function readScope(proto: GraphProto, scope: Scope): Omit<Graph, 'weights'> {
  const nodes = proto.node ?? [];
  if (scope.depth > limits.graphDepth) {
    throw new GraftError('MODEL_TOO_LARGE', `subgraphs are nested deeper than the limit of ${limits.graphDepth}`);
  }
  scope.budget.nodes -= nodes.length;
  if (scope.budget.nodes < 0) {
    throw new GraftError('MODEL_TOO_LARGE', `the graph has more nodes than the limit of ${limits.graphNodes}`);
  }
  if ((proto.sparseInitializer?.length ?? 0) > 0) {
    throw new GraftError('MODEL_UNSUPPORTED', 'the graph has sparse initializers');
  }
  const moved = new Map(scope.moved);
  // A name that is made again in here means the inner value, should a file do what ONNX forbids.
  for (const { name } of proto.input ?? []) moved.delete(name ?? '');
  for (const output of nodes.flatMap((node) => node.output ?? [])) moved.delete(output);
  const inner = { ...scope, moved };
  const own = new Set<string>();
  const keep = (name: string, value: Tensor): void => {
    const outside = scope.prefix + name;
    if (name === '') throw new GraftError('MODEL_MALFORMED', 'an initializer has no name');
    if (scope.weights.has(outside)) throw new GraftError('MODEL_MALFORMED', `two initializers are called '${outside}'`);
    scope.weights.set(outside, value);
    moved.set(name, outside);
    own.add(name);
  };
  for (const initializer of proto.initializer ?? []) {
    keep(initializer.name ?? '', readTensor(initializer, `initializer '${initializer.name ?? ''}'`));
  }
  const others = nodes.filter((node) => {
    if (!isConstant(node)) return true;
    keep(node.output?.[0] ?? '', readConstant(node));
    return false;
  });
  const taken = new Set<string>();
  return {
    name: proto.name ?? '',
    // Until IR version 3 every initializer was an input as well.
    inputs: (proto.input ?? []).filter(({ name }) => !own.has(name ?? '')).map((value) => readValue(value, 'input')),
    outputs: (proto.output ?? []).map((value) => readValue(value, 'output')).map((value) => rename(value, moved)),
    nodes: others.map((node) => readNode(node, inner, taken)),
  };
}

function rename(value: Value, moved: ReadonlyMap<string, string>): Value {
  return { ...value, name: moved.get(value.name) ?? value.name };
}

/** A name of the node's own, since files may leave names out or repeat them. */
function nodeName(node: NodeProto, taken: Set<string>): string {
  const wanted = node.name || `${node.opType ?? ''}:${node.output?.find((name) => name !== '') ?? ''}`;
  let name = wanted;
  for (let copy = 2; taken.has(name); copy++) name = `${wanted}#${copy}`;
  taken.add(name);
  return name;
}

function readNode(proto: NodeProto, scope: Scope, taken: Set<string>): Node {
  const name = nodeName(proto, taken);
  if (!proto.opType) throw new GraftError('MODEL_MALFORMED', `node '${name}' has no operator`);
  const attributes = (proto.attribute ?? []).map((attribute): [string, Attribute] => [
    attribute.name ?? '',
    readAttribute(attribute, `attribute '${attribute.name ?? ''}' of node '${name}'`, {
      ...scope,
      depth: scope.depth + 1,
      prefix: `${scope.prefix}${name}/${attribute.name ?? ''}/`,
    }),
  ]);
  return {
    name,
    op: proto.opType,
    domain: proto.domain === 'ai.onnx' ? '' : (proto.domain ?? ''),
    inputs: (proto.input ?? []).map((input) => scope.moved.get(input) ?? input),
    outputs: [...(proto.output ?? [])],
    attributes: Object.fromEntries(attributes),
  };
}

const isConstant = (node: NodeProto): boolean =>
  node.opType === 'Constant' && (node.domain === undefined || node.domain === '' || node.domain === 'ai.onnx');

/** Constant: https://onnx.ai/onnx/operators/onnx__Constant.html */
function readConstant(node: NodeProto): Tensor {
  const what = `constant '${node.output?.[0] ?? ''}'`;
  const attribute = node.attribute?.[0];
  if (attribute === undefined || node.attribute?.length !== 1) {
    throw new GraftError('MODEL_MALFORMED', `${what} needs exactly one attribute`);
  }
  switch (attribute.name) {
    case 'value':
      if (attribute.t) return readTensor(attribute.t, what);
      break;
    case 'value_float':
      return tensor('float32', [], Float32Array.of(attribute.f ?? 0));
    case 'value_floats':
      return tensor('float32', [attribute.floats?.length ?? 0], Float32Array.from(attribute.floats ?? []));
    case 'value_int':
      return tensor('int64', [], BigInt64Array.of(BigInt(integer(attribute.i, what))));
    case 'value_ints': {
      const values = (attribute.ints ?? []).map((value) => BigInt(integer(value, what)));
      return tensor('int64', [values.length], BigInt64Array.from(values));
    }
  }
  throw new GraftError('MODEL_UNSUPPORTED', `${what} is given by '${attribute.name ?? ''}', which is not supported`);
}

/** AttributeProto.AttributeType of onnx.proto. */
const types = { float: 1, int: 2, string: 3, tensor: 4, graph: 5, floats: 6, ints: 7, strings: 8 } as const;

function readAttribute(proto: AttributeProto, what: string, scope: Scope): Attribute {
  if (proto.refAttrName) throw new GraftError('MODEL_UNSUPPORTED', `${what} refers to an attribute of a function`);
  switch (proto.type) {
    case types.float:
      return { kind: 'float', value: proto.f ?? 0 };
    case types.int:
      return { kind: 'int', value: integer(proto.i, what) };
    case types.string:
      return { kind: 'string', value: text(proto.s) };
    case types.tensor:
      return { kind: 'tensor', value: readTensor(proto.t ?? {}, what) };
    case types.graph:
      return { kind: 'graph', value: { ...readScope(proto.g ?? {}, scope), weights: [] } };
    case types.floats:
      return { kind: 'floats', value: [...(proto.floats ?? [])] };
    case types.ints:
      return { kind: 'ints', value: (proto.ints ?? []).map((value) => integer(value, what)) };
    case types.strings:
      return { kind: 'strings', value: (proto.strings ?? []).map(text) };
  }
  throw new GraftError('MODEL_UNSUPPORTED', `${what} has type ${proto.type ?? 0}, which is not supported`);
}

function text(bytes: Uint8Array | undefined): string {
  return new TextDecoder().decode(bytes ?? new Uint8Array());
}

function readValue(proto: ValueInfoProto, role: 'input' | 'output'): Value {
  const name = proto.name ?? '';
  const what = `${role} '${name}'`;
  if (name === '') throw new GraftError('MODEL_MALFORMED', `an ${role} has no name`);
  const type = proto.type?.tensorType;
  if (!type) throw new GraftError('MODEL_UNSUPPORTED', `${what} is not declared as a tensor`);
  const dtype = dtypeFrom(type.elemType, what);
  if (!type.shape) return { name, dtype };
  const shape = (type.shape.dim ?? []).map((dim, axis) => {
    if (Object.hasOwn(dim, 'dimParam') && dim.dimParam) return dim.dimParam;
    // A dimension that says nothing is a size of its own: its symbol is used nowhere else.
    if (!Object.hasOwn(dim, 'dimValue')) return `${name}.${axis}`;
    const size = integer(dim.dimValue, `dimension ${axis} of ${what}`);
    if (size < 0) throw new GraftError('MODEL_MALFORMED', `${what} has the negative dimension ${size}`);
    return size;
  });
  return { name, dtype, shape };
}
