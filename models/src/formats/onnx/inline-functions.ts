/**
 * Functions that a model defines, written in place of each call: https://github.com/onnx/onnx/blob/main/docs/IR.md#functions
 * Values of a body get names of the call; attributes that a body refers to are those of the call, or the function's defaults.
 */
import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';

import {
  integer,
  type AttributeProto,
  type FunctionProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
} from './onnx-schema.js';
import { domains } from './opset/domains.js';

/** Characters of a call's name that names of its body begin with: a long one would be repeated for each of them. */
const longestPlace = 200;

interface Inlining {
  readonly functions: ReadonlyMap<string, FunctionProto>;
  readonly opsets: ReadonlyMap<string, number>;
  readonly used: Set<string>;
  readonly budget: { nodes: number };
}

/** Names of values in a body to names in the graph; what is not in it is made up at its first use. */
type Names = (name: string) => string;

const plain = (domain: string | undefined): string => (domain === 'ai.onnx' ? '' : (domain ?? ''));

const keyOf = (domain: string | undefined, name: string | undefined, overload: string | undefined): string =>
  JSON.stringify([plain(domain), name ?? '', overload ?? '']);

/**
 * The model's graph without calls. Throws MODEL_MALFORMED for functions that call themselves or stand twice, MODEL_TOO_LARGE where
 * they grow past the limit of nodes, MODEL_UNSUPPORTED where a function has other versions of its operators than the model.
 */
export function inlineFunctions(model: ModelProto, graph: GraphProto, opsets: ReadonlyMap<string, number>): GraphProto {
  if ((model.functions?.length ?? 0) === 0) return graph;
  const functions = new Map<string, FunctionProto>();
  for (const each of model.functions ?? []) {
    const key = keyOf(each.domain, each.name, each.overload);
    if (functions.has(key)) throw new GraftError('MODEL_MALFORMED', `two functions are called '${each.name ?? ''}'`);
    functions.set(key, each);
  }
  const inlining = { functions, opsets, used: new Set(namesOf(graph)), budget: { nodes: limits.graphNodes } };
  return inGraph(graph, inlining, []);
}

/** @param within keys of the functions around */
function inGraph(graph: GraphProto, inlining: Inlining, within: readonly string[]): GraphProto {
  return { ...graph, node: (graph.node ?? []).flatMap((node) => inNode(node, inlining, within)) };
}

function inNode(node: NodeProto, inlining: Inlining, within: readonly string[]): NodeProto[] {
  const key = keyOf(node.domain, node.opType, node.overload);
  const called = inlining.functions.get(key);
  inlining.budget.nodes--;
  if (inlining.budget.nodes < 0) {
    throw new GraftError('MODEL_TOO_LARGE', `functions grow to more nodes than the limit of ${limits.graphNodes}`);
  }
  if (called === undefined) {
    const attribute = node.attribute?.map((each) =>
      each.g ? { ...each, g: inGraph(each.g, inlining, within) } : each,
    );
    return [{ ...node, ...(attribute && { attribute }) }];
  }
  const name = `function '${called.name ?? ''}'`;
  if (within.length >= limits.functionDepth) {
    throw new GraftError(
      'MODEL_TOO_LARGE',
      `functions call each other deeper than the limit of ${limits.functionDepth}`,
    );
  }
  if (within.includes(key)) throw new GraftError('MODEL_MALFORMED', `${name} calls itself`);
  checkVersions(called, inlining, name);
  return bodyOf(node, called, inlining).flatMap((each) => inNode(each, inlining, [...within, key]));
}

/** The nodes of the function as they stand for this call. */
function bodyOf(call: NodeProto, called: FunctionProto, { used }: Inlining): NodeProto[] {
  const place = call.name || call.output?.find((name) => name !== '') || call.opType || '';
  const prefix = place.slice(-longestPlace);
  const given = new Map<string, string>((called.input ?? []).map((name, i) => [name, call.input?.[i] ?? '']));
  const passed: NodeProto[] = [];
  for (const [i, name] of (called.output ?? []).entries()) {
    const output = call.output?.[i] ?? '';
    if (output === '') continue;
    if (given.has(name)) passed.push({ opType: 'Identity', input: [given.get(name) ?? ''], output: [output] });
    else given.set(name, output);
  }
  const names: Names = (name) => {
    if (name === '') return '';
    const known = given.get(name) ?? fresh(`${prefix}/${name}`, used);
    given.set(name, known);
    return known;
  };
  const defaults = new Map((called.attributeProto ?? []).map((each) => [each.name, each]));
  const attributes = new Map([...defaults, ...(call.attribute ?? []).map((each) => [each.name, each] as const)]);
  return [...(called.node ?? []).map((node) => renamed(node, names, { attributes, prefix })), ...passed];
}

interface Call {
  readonly attributes: ReadonlyMap<string | undefined, AttributeProto>;
  readonly prefix: string;
}

function renamed(node: NodeProto, names: Names, call: Call): NodeProto {
  return {
    ...node,
    name: `${call.prefix}/${node.name || (node.opType ?? '')}`,
    input: (node.input ?? []).map(names),
    output: (node.output ?? []).map(names),
    attribute: (node.attribute ?? []).flatMap((each) => resolved(each, names, call)),
  };
}

/** An attribute that refers to one of the call that nobody gave is left out. */
function resolved(attribute: AttributeProto, names: Names, call: Call): AttributeProto[] {
  const { refAttrName, ...own } = attribute;
  if (refAttrName) {
    const value = call.attributes.get(refAttrName);
    return value === undefined ? [] : [{ ...value, ...(own.name !== undefined && { name: own.name }) }];
  }
  return [own.g ? { ...own, g: renamedGraph(own.g, names, call) } : own];
}

function renamedGraph(graph: GraphProto, names: Names, call: Call): GraphProto {
  const named = <T extends { name?: string }>(each: T): T => ({ ...each, name: names(each.name ?? '') });
  return {
    ...graph,
    input: (graph.input ?? []).map(named),
    output: (graph.output ?? []).map(named),
    initializer: (graph.initializer ?? []).map(named),
    node: (graph.node ?? []).map((node) => renamed(node, names, call)),
  };
}

/** The body is read with the model's versions, so each of its operators must be the same in the function's. */
function checkVersions(called: FunctionProto, { opsets }: Inlining, name: string): void {
  const own = new Map((called.opsetImport ?? []).map(({ domain, version }) => [plain(domain), integer(version, name)]));
  for (const { domain, opType } of called.node ?? []) {
    const key = plain(domain);
    const versions = domains.get(key)?.operators.get(opType ?? '')?.versions;
    const [inside, outside] = [own.get(key), opsets.get(key) ?? own.get(key)];
    if (versions === undefined || inside === undefined || outside === undefined) continue;
    const at = (opset: number): number | undefined => versions.findLast((version) => version <= opset);
    if (at(inside) === at(outside)) continue;
    throw new GraftError(
      'MODEL_UNSUPPORTED',
      `${name} uses ${opType ?? ''} of opset ${inside}, and the model that of opset ${outside}; export both with one opset`,
    );
  }
}

function fresh(wanted: string, used: Set<string>): string {
  let name = wanted;
  for (let copy = 2; used.has(name); copy++) name = `${wanted}#${copy}`;
  used.add(name);
  return name;
}

function* namesOf(graph: GraphProto): Generator<string> {
  for (const { name } of [...(graph.input ?? []), ...(graph.initializer ?? []), ...(graph.output ?? [])])
    yield name ?? '';
  for (const { input, output, attribute } of graph.node ?? []) {
    yield* input ?? [];
    yield* output ?? [];
    for (const { g } of attribute ?? []) if (g) yield* namesOf(g);
  }
}
