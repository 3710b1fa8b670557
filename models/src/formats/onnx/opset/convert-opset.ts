/**
 * From the opset of a file to the internal one. One table: operator -> its versions, and how to enter each version
 * that changed meaning. A node walks from its file's opset to ours, one version at a time.
 */
import type { Tensor } from '@graft/core/tensor';
import { GraftError } from '@graft/core/error';

import { internalOpset, type Attribute, type Graph, type Node, type Value } from '../../../graph/graph.js';
import { namesRead } from '../../../graph/captures.js';
import { activation } from './activation.js';
import { arithmetic } from './arithmetic.js';
import { controlFlow } from './control-flow.js';
import { elementTypes } from './element-type.js';
import type { ConversionContext, Family, OperatorHistory } from './history.js';
import { layer } from './layer.js';
import { normalization } from './normalization.js';
import { quantization } from './quantization.js';
import { ranks } from './ranks.js';
import { reduction } from './reduction.js';
import { resize } from './resize.js';
import { shape } from './shape.js';

/** The opsets that a file may have. */
const oldestOpset = 7;
const newestOpset = 24;

export const operatorHistories: ReadonlyMap<string, OperatorHistory> = new Map(
  [activation, arithmetic, controlFlow, layer, normalization, quantization, reduction, resize, shape].flatMap(
    (family: Family) => Object.entries(family),
  ),
);

type Body = Omit<Graph, 'weights'>;

/** Converts every node, of subgraphs too; constants that it needs are added to `weights`. */
export function convertOpset(graph: Body, weights: Map<string, Tensor>, opset: number): Body {
  if (opset < oldestOpset || opset > newestOpset) {
    throw new GraftError(
      'MODEL_UNSUPPORTED',
      `the model has opset ${opset}; opsets ${oldestOpset} to ${newestOpset} can be read`,
    );
  }
  const used = new Set<string>([...weights.keys(), ...namesOf(graph)]);
  return convertBody(graph, { weights, opset, used, read: new Set(), outer: [], producer: new Map() });
}

interface Scope {
  readonly weights: Map<string, Tensor>;
  readonly opset: number;
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
  const nodes = graph.nodes.flatMap((node) => convertNode(withSubgraphs(node, inner), scope.opset, context));
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
    rank: ranks(source),
    elementType: elementTypes(source),
  };
}

function convertNode(node: Node, opset: number, context: ConversionContext): Node[] {
  const history = historyOf(node, opset);
  if (opset > internalOpset) return [backward(node, history)];
  const next = history.versions.find((version) => version > opset && version <= internalOpset);
  if (next === undefined) return [node];
  const converter = Object.hasOwn(history.into ?? {}, next) ? history.into?.[next] : undefined;
  const converted = converter === undefined ? [node] : converter(node, context);
  return converted.flatMap((successor) => convertNode(successor, next, context));
}

function historyOf(node: Node, opset: number): OperatorHistory {
  const history = node.domain === '' ? operatorHistories.get(node.op) : undefined;
  if (history === undefined) {
    const name = node.domain === '' ? node.op : `${node.domain}.${node.op}`;
    throw new GraftError(
      'MODEL_UNSUPPORTED',
      `node '${node.name}' uses operator ${name}, which is not known; so it cannot be taken from opset ${opset} to ${internalOpset}`,
      { details: { node: node.name, operator: name, opset } },
    );
  }
  const [first = 0] = history.versions;
  if (first > Math.min(opset, internalOpset)) {
    throw new GraftError(
      'MODEL_UNSUPPORTED',
      `node '${node.name}' uses operator ${node.op} of opset ${first}; the file has opset ${opset}, graft's is ${internalOpset}`,
      { details: { node: node.name, operator: node.op, opset } },
    );
  }
  return history;
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
