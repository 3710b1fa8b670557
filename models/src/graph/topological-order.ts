/** Nodes in an order in which every value is made before it is read; nodes that are in order already stay where they are. */
import { GraftError } from '@graft/core/error';

import { namesRead } from './captures.js';
import type { Node } from './graph.js';

/** Depth-first from each node in turn, without recursion: a chain may be as long as the graph. Throws MODEL_MALFORMED for a cycle. */
export function topologicalOrder(nodes: readonly Node[]): Node[] {
  const producer = new Map<string, Node>();
  for (const node of nodes) for (const output of node.outputs) producer.set(output, node);
  const state = new Map<Node, 'open' | 'done'>();
  const ordered: Node[] = [];
  for (const root of nodes) {
    const stack: { node: Node; before: Node[] }[] = [];
    const open = (node: Node): void => {
      if (state.get(node) === 'done') return;
      if (state.get(node) === 'open') {
        const names = stack.map((frame) => frame.node);
        throw cycle([...names.slice(names.indexOf(node)), node]);
      }
      state.set(node, 'open');
      const before = namesRead(node).flatMap((name) => producer.get(name) ?? []);
      stack.push({ node, before: before.reverse() });
    };
    open(root);
    for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
      const next = frame.before.pop();
      if (next !== undefined) {
        open(next);
        continue;
      }
      stack.pop();
      state.set(frame.node, 'done');
      ordered.push(frame.node);
    }
  }
  return ordered;
}

function cycle(nodes: readonly Node[]): GraftError {
  const path = nodes.slice(0, 8).map(({ name }) => `'${name}'`);
  return new GraftError(
    'MODEL_MALFORMED',
    `the graph has a cycle: ${path.join(' needs ')}${nodes.length > 8 ? ' ...' : ''}`,
  );
}
