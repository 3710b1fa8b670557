/** The rules every graph keeps; everything behind the importer relies on them. */
import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';

import type { Graph, Node } from './graph.js';

/**
 * Throws MODEL_MALFORMED or MODEL_TOO_LARGE unless: every name is made once (inputs, weights, node outputs), every
 * name that is read was made before, outputs exist and differ, node names are unique, and counts and depth are in limits.
 */
export function validateGraph(graph: Graph): void {
  checkSize([graph], 0);
  validateScope(graph, new Set());
}

/** Counts first: nothing below runs on a graph that is too large. */
function checkSize(graphs: readonly Graph[], depth: number): void {
  let count = 0;
  for (let level = graphs, nesting = depth; level.length > 0; nesting++) {
    if (nesting > limits.graphDepth) {
      throw new GraftError('MODEL_TOO_LARGE', `subgraphs are nested deeper than the limit of ${limits.graphDepth}`);
    }
    const nodes = level.flatMap((graph) => graph.nodes);
    count += nodes.length;
    if (count > limits.graphNodes) {
      throw new GraftError('MODEL_TOO_LARGE', `a graph of ${count} nodes, the limit is ${limits.graphNodes}`);
    }
    level = nodes.flatMap(subgraphs);
  }
}

function subgraphs(node: Node): Graph[] {
  return Object.values(node.attributes).flatMap((attribute) => (attribute.kind === 'graph' ? [attribute.value] : []));
}

/** @param known names from around the graph; those that it makes are added, and gone again at its end: no copy for each of many bodies */
function validateScope(graph: Graph, known: Set<string>): void {
  const made: string[] = [];
  const make = (name: string, maker: string): void => {
    if (known.has(name)) throw malformed(`'${name}' is made twice, the second time by ${maker}`);
    known.add(name);
    made.push(name);
  };
  for (const { name } of graph.inputs) make(name, 'an input');
  for (const { name } of graph.weights) make(name, 'a weight');
  const nodeNames = new Set<string>();
  for (const node of graph.nodes) {
    if (node.name === '' || nodeNames.has(node.name)) throw malformed(`two nodes are called '${node.name}'`);
    nodeNames.add(node.name);
    for (const input of node.inputs) {
      if (input !== '' && !known.has(input)) {
        throw malformed(`node '${node.name}' (${node.op}) reads '${input}', which nothing before it makes`);
      }
    }
    for (const subgraph of subgraphs(node)) validateScope(subgraph, known);
    for (const output of node.outputs) if (output !== '') make(output, `node '${node.name}'`);
  }
  if (graph.outputs.length === 0) throw malformed('the graph has no output');
  const outputs = new Set<string>();
  for (const { name } of graph.outputs) {
    if (!known.has(name)) throw malformed(`output '${name}' is made by nothing`);
    if (outputs.has(name)) throw malformed(`output '${name}' is declared twice`);
    outputs.add(name);
  }
  for (const name of made) known.delete(name);
}

function malformed(message: string): GraftError {
  return new GraftError('MODEL_MALFORMED', message);
}
