/** What a node reads: its inputs, and the names that its subgraphs take from outside. */
import type { Graph, Node } from './graph.js';

/** Names that the node needs from its graph, without the '' of inputs left out. */
export function namesRead(node: Node): string[] {
  const names = node.inputs.filter((name) => name !== '');
  for (const attribute of Object.values(node.attributes)) {
    if (attribute.kind === 'graph') names.push(...captures(attribute.value));
  }
  return names;
}

/** Names that a subgraph uses and does not define. */
export function captures(graph: Graph): string[] {
  const defined = new Set([...graph.inputs, ...graph.weights].map(({ name }) => name));
  for (const node of graph.nodes) for (const output of node.outputs) defined.add(output);
  const read = [...graph.nodes.flatMap(namesRead), ...graph.outputs.map(({ name }) => name)];
  return [...new Set(read)].filter((name) => !defined.has(name));
}

/** What the subgraphs of a node read from around it. */
export function capturedBy({ attributes }: Node): string[] {
  return Object.values(attributes).flatMap((attribute) =>
    attribute.kind === 'graph' ? captures(attribute.value) : [],
  );
}
