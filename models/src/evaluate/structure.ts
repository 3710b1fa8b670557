/** The structural half of an evaluation: which operators a model has, and how often. */
import type { Graph } from '../graph/graph.js';

export interface OperatorCount {
  /** 'Conv', or 'domain.Name' outside the default domain. */
  readonly operator: string;
  readonly count: number;
}

/** Counts nodes, those of subgraphs too; most frequent first, then by name. */
export function operatorsOf(graph: Graph): OperatorCount[] {
  const counts = new Map<string, number>();
  const pending = [graph];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    for (const { domain, op, attributes } of next.nodes) {
      const operator = domain === '' ? op : `${domain}.${op}`;
      counts.set(operator, (counts.get(operator) ?? 0) + 1);
      for (const attribute of Object.values(attributes)) if (attribute.kind === 'graph') pending.push(attribute.value);
    }
  }
  return [...counts]
    .map(([operator, count]) => ({ operator, count }))
    .sort((a, b) => b.count - a.count || (a.operator < b.operator ? -1 : 1));
}
