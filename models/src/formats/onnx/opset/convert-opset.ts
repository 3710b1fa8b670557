/**
 * From the opset of a file to the internal one. One table: operator -> its versions, and how to enter each version
 * that changed meaning. A node walks from its file's opset to ours, one version at a time.
 */
import type { Tensor } from '@graft/core/tensor';
import { GraftError } from '@graft/core/error';

import { internalOpset, type Attribute, type Graph, type Node, type Value } from '../../../graph/graph.js';
import { namesRead } from '../../../graph/captures.js';
import { domains } from './domains.js';
import { withoutReuse } from './early.js';
import { elementTypes } from './element-type.js';
import type { ConversionContext, OperatorHistory } from './history.js';
import { ranks } from './ranks.js';

type Body = Omit<Graph, 'weights'>;

/** Versions of the domains that a file names, '' for the default one. */
export type Opsets = ReadonlyMap<string, number>;

/** Converts every node, of subgraphs too; constants that it needs are added to `weights`. */
export function convertOpset(graph: Body, weights: Map<string, Tensor>, opsets: Opsets): Body {
  for (const [domain, { oldest, newest }] of domains) {
    const opset = opsets.get(domain);
    if (opset === undefined || (opset >= oldest && opset <= newest)) continue;
    const what = domain === '' ? 'opset' : `version`;
    throw new GraftError(
      'MODEL_UNSUPPORTED',
      `the model has ${what} ${opset}${domain === '' ? '' : ` of ${domain}`}; ${what}s ${oldest} to ${newest} can be read`,
    );
  }
  const used = new Set<string>([...weights.keys(), ...namesOf(graph)]);
  return convertBody(graph, { weights, opsets, used, read: new Set(), outer: [], producer: new Map() });
}

interface Scope {
  readonly weights: Map<string, Tensor>;
  readonly opsets: Opsets;
  readonly used: Set<string>;
  /** Names that are read somewhere in this graph or in those around it. */
  readonly read: ReadonlySet<string>;
  /** Inputs of the graphs around this one. */
  readonly outer: readonly Value[];
  readonly producer: ReadonlyMap<string, Node>;
}

function convertBody(graph: Body, scope: Scope): Body {
  const inputs = [...scope.outer, ...graph.inputs];
  const producer = new Map(scope.producer);
  for (const node of graph.nodes) for (const output of node.outputs) producer.set(output, node);
  const read = new Set([...scope.read, ...graph.nodes.flatMap(namesRead), ...graph.outputs.map(({ name }) => name)]);
  const inner = { ...scope, outer: inputs, producer, read };
  const context = contextOf(inner);
  const nodes = graph.nodes.flatMap((node) => {
    const opset = versionOf(node, scope.opsets);
    const known = opset < 6 ? withoutReuse(node) : node;
    return convertNode(withSubgraphs(known, inner), opset, context);
  });
  return { ...graph, nodes };
}

function withSubgraphs(node: Node, scope: Scope): Node {
  const attributes = Object.entries(node.attributes).map(([name, value]): [string, Attribute] =>
    value.kind === 'graph'
      ? [name, { kind: 'graph', value: { ...convertBody(value.value, scope), weights: [] } }]
      : [name, value],
  );
  return { ...node, attributes: Object.fromEntries(attributes) };
}

function contextOf({ weights, used, read, outer, producer }: Scope): ConversionContext {
  const constant = (name: string): Tensor | undefined => weights.get(name);
  const fresh = (hint: string): string => {
    let name = hint;
    for (let copy = 2; used.has(name); copy++) name = `${hint}#${copy}`;
    used.add(name);
    return name;
  };
  const addConstant = (hint: string, value: Tensor): string => {
    const name = fresh(hint);
    weights.set(name, value);
    return name;
  };
  const source = { inputs: outer, producer, constant };
  return {
    constant,
    fresh,
    addConstant,
    isRead: (name) => read.has(name),
    size: (name, axis) => {
      const shape = outer.find((value) => value.name === name)?.shape ?? constant(name)?.shape;
      const size = shape?.at(axis);
      return typeof size === 'number' ? size : undefined;
    },
    rank: ranks(source),
    elementType: elementTypes(source),
  };
}

/** The version of the node's domain that the file has. */
function versionOf(node: Node, opsets: Opsets): number {
  const version = opsets.get(node.domain);
  if (version !== undefined) return version;
  throw new GraftError(
    domains.has(node.domain) ? 'MODEL_MALFORMED' : 'MODEL_UNSUPPORTED',
    `node '${node.name}' uses ${nameOf(node)}, and the file does not say which version of its domain`,
    { details: { node: node.name, operator: nameOf(node) } },
  );
}

const nameOf = ({ domain, op }: Node): string => (domain === '' ? op : `${domain}.${op}`);

function convertNode(node: Node, opset: number, context: ConversionContext): Node[] {
  const { history, internal } = historyOf(node, opset);
  const [first = 0] = history.versions;
  if (first > internal) return [...(history.lower?.(node, context, opset) ?? [node])];
  const plain = (last: Node): Node[] => [...(history.plain?.(last, context) ?? [last])];
  if (opset > internal) return plain(backward(node, history));
  const next = history.versions.find((version) => version > opset && version <= internal);
  if (next === undefined) return plain(node);
  const converter = Object.hasOwn(history.into ?? {}, next) ? history.into?.[next] : undefined;
  const converted = converter === undefined ? [node] : converter(node, context);
  return converted.flatMap((successor) => convertNode(successor, next, context));
}

function historyOf(node: Node, opset: number): { history: OperatorHistory; internal: number } {
  const domain = domains.get(node.domain);
  const history = domain?.operators.get(node.op);
  const details = { node: node.name, operator: nameOf(node), opset };
  const where = `node '${node.name}' uses operator ${nameOf(node)}`;
  if (domain === undefined || history === undefined) {
    throw new GraftError(
      'MODEL_UNSUPPORTED',
      `${where}, which is not known; so it cannot be taken from opset ${opset} to ${domain?.internal ?? internalOpset}`,
      { details },
    );
  }
  const [first = 0] = history.versions;
  if (first <= opset) return { history, internal: domain.internal };
  throw new GraftError('MODEL_UNSUPPORTED', `${where} of opset ${first}; the file has opset ${opset}`, { details });
}

/** Opsets past ours have added types that a graph of ours cannot hold, and the attributes that the table lists. */
function backward(node: Node, history: OperatorHistory): Node {
  const later = history.laterAttributes?.find((name) => Object.hasOwn(node.attributes, name));
  if (later === undefined) return node;
  throw new GraftError(
    'MODEL_UNSUPPORTED',
    `node '${node.name}' (${node.op}) uses attribute '${later}', which came after opset ${internalOpset}`,
    { details: { node: node.name, operator: node.op, attribute: later } },
  );
}

function* namesOf(graph: Body): Generator<string> {
  for (const { name } of graph.inputs) yield name;
  for (const node of graph.nodes) {
    yield* node.inputs;
    yield* node.outputs;
    for (const attribute of Object.values(node.attributes)) {
      if (attribute.kind === 'graph') yield* namesOf(attribute.value);
    }
  }
}
