/** Optional results of a forward node that only its gradient reads, such as means and masks. */
import type { Node } from '../graph/graph.js';
import type { GraphBuilder } from './graph-builder.js';
import type { Known, Site } from './operator.js';

/**
 * Names of the results of `node` up to the last of `places`, '' for those that are neither written nor asked for.
 * Where the node stands in `build`, it writes them from now on; else it runs again for them.
 */
export function resultsOf(
  node: Node,
  places: readonly number[],
  { infer, build }: { infer: (site: Site) => readonly Known[]; build: GraphBuilder },
): string[] {
  const index = build.nodes.findLastIndex(({ name, op }) => name === node.name && op === node.op);
  const current = build.nodes[index];
  if (current === undefined) return build.repeat(node, Math.max(...places) + 1);
  const count = Math.max(current.outputs.length, ...places.map((place) => place + 1));
  const outputs = Array.from({ length: count }, (_, i) => {
    const known = current.outputs[i] ?? '';
    return known === '' && places.includes(i) ? `${current.outputs[0] || current.name}/${node.op}.${i}` : known;
  });
  const extended = { ...current, outputs };
  build.nodes[index] = extended;
  const types = infer(build.siteOf(extended));
  for (const place of places) {
    const type = types[place];
    if (type !== undefined) build.declare(outputs[place] ?? '', type);
  }
  return outputs;
}
