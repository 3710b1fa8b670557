/**
 * GraphProto to graph and weights, still in the opset of the file. Constant nodes and initializers become weights;
 * those of subgraphs move to the top, under a name of their own, since a graph keeps all weights in one file.
 */
import type { Tensor } from '@graft/core/tensor';
import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';

import type { OpaqueTensor } from '../../graph/element-type.js';
import type { Attribute, Graph, Node, Value } from '../../graph/graph.js';
import type { GraphProto, NodeProto } from './onnx-schema.js';
import { readAttribute, readTensorAttribute } from './read-attribute.js';
import { isConstant, readConstant } from './read-constant.js';
import { readValue } from './read-type.js';

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
  const opaque: Node[] = [];
  const taken = new Set<string>();
  for (const initializer of proto.initializer ?? []) {
    const name = initializer.name ?? '';
    const value = readTensorAttribute(initializer, `initializer '${name}'`);
    if (value.kind === 'tensor') keep(name, value.value);
    else {
      opaque.push(constantNode(name, value.value, taken));
      own.add(name);
    }
  }
  const others = nodes.filter((node) => {
    const value = isConstant(node) ? readConstant(node) : undefined;
    if (value?.kind !== 'tensor') return true;
    keep(node.output?.[0] ?? '', value.value);
    return false;
  });
  const inSubgraph = scope.depth > 0;
  const declared = (proto.output ?? []).map((value) => readValue(value, { role: 'output', inSubgraph }));
  const body = [...opaque, ...others.map((node) => readNode(node, inner, taken))];
  const { outputs, copies } = inSubgraph
    ? copied(declared, inner, taken)
    : { outputs: declared.map((value) => rename(value, moved)), copies: [] };
  return {
    name: proto.name ?? '',
    // Until IR version 3 every initializer was an input as well.
    inputs: (proto.input ?? [])
      .filter(({ name }) => !own.has(name ?? ''))
      .map((value) => readValue(value, { role: 'input', inSubgraph })),
    outputs,
    nodes: [...body, ...copies],
  };
}

/** A subgraph may not give what is made outside of it, so a constant that has moved to the top is copied in it. */
function copied(
  outputs: readonly Value[],
  { moved, prefix }: Scope,
  taken: Set<string>,
): { outputs: Value[]; copies: Node[] } {
  const copies: Node[] = [];
  const results = outputs.map((value, i) => {
    const outside = moved.get(value.name);
    if (outside === undefined) return value;
    const output = `${prefix}${value.name}/${i}`;
    const name = nodeName({ opType: 'Identity', output: [output] }, taken);
    copies.push({ name, op: 'Identity', domain: '', inputs: [outside], outputs: [output], attributes: {} });
    return { ...value, name: output };
  });
  return { outputs: results, copies };
}

/** A constant of a type without an array stays where it is, as a node. */
function constantNode(output: string, value: OpaqueTensor, taken: Set<string>): Node {
  if (output === '') throw new GraftError('MODEL_MALFORMED', 'an initializer has no name');
  const name = nodeName({ opType: 'Constant', output: [output] }, taken);
  return {
    name,
    op: 'Constant',
    domain: '',
    inputs: [],
    outputs: [output],
    attributes: { value: { kind: 'opaque', value } },
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
  const value = isConstant(proto) ? readConstant(proto) : undefined;
  const attributes = value === undefined ? readAttributes(proto, name, scope) : { value };
  return {
    name,
    op: proto.opType,
    domain: proto.domain === 'ai.onnx' ? '' : (proto.domain ?? ''),
    inputs: (proto.input ?? []).map((input) => scope.moved.get(input) ?? input),
    outputs: [...(proto.output ?? [])],
    attributes,
  };
}

function readAttributes(proto: NodeProto, node: string, scope: Scope): Record<string, Attribute> {
  const attributes = (proto.attribute ?? []).map((attribute): [string, Attribute] => {
    const name = attribute.name ?? '';
    const inner = { ...scope, depth: scope.depth + 1, prefix: `${scope.prefix}${node}/${name}/` };
    const readInner = (graph: GraphProto): Graph => ({ ...readScope(graph, inner), weights: [] });
    return [name, readAttribute(attribute, `attribute '${name}' of node '${node}'`, readInner)];
  });
  return Object.fromEntries(attributes);
}
