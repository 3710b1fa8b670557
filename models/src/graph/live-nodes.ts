/** The nodes of a graph that its outputs need: a builder leaves values behind that nobody came to read. */
import { namesRead } from './captures.js';
import type { Node } from './graph.js';

/** In the order given, which must be topological. */
export function liveNodes(nodes: readonly Node[], outputs: readonly string[]): Node[] {
  const needed = new Set(outputs);
  const live: Node[] = [];
  for (const node of nodes.toReversed()) {
    if (!node.outputs.some((name) => needed.has(name))) continue;
    for (const name of namesRead(node)) needed.add(name);
    live.push(node);
  }
  return live.reverse();
}
