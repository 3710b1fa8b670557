/** The structural half of an evaluation: which operators a model has, and which of them a runtime lacks. */
import type { Graph } from '../graph/graph.js';

export interface OperatorCount {
  /** 'Conv', or 'domain.Name' outside the default domain. */
  readonly operator: string;
  readonly count: number;
}

export interface StructureReport {
  readonly nodes: number;
  /** Most frequent first, then by name. */
  readonly operators: readonly OperatorCount[];
  readonly unsupported: readonly OperatorCount[];
  /** Share of nodes that are supported, 0 to 1; 1 for a graph without nodes. */
  readonly supportedShare: number;
}

/** Counts nodes, those of subgraphs too. `supported` says whether the runtime has an operator, by the name in the report. */
export function structureOf(graph: Graph, supported: (operator: string) => boolean): StructureReport {
  const counts = new Map<string, number>();
  const pending = [graph];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    for (const { domain, op, attributes } of next.nodes) {
      const operator = domain === '' ? op : `${domain}.${op}`;
      counts.set(operator, (counts.get(operator) ?? 0) + 1);
      for (const attribute of Object.values(attributes)) if (attribute.kind === 'graph') pending.push(attribute.value);
    }
  }
  const operators = [...counts]
    .map(([operator, count]) => ({ operator, count }))
    .sort((a, b) => b.count - a.count || (a.operator < b.operator ? -1 : 1));
  const unsupported = operators.filter(({ operator }) => !supported(operator));
  const total = (all: readonly OperatorCount[]): number => all.reduce((sum, { count }) => sum + count, 0);
  const nodes = total(operators);
  return { nodes, operators, unsupported, supportedShare: nodes === 0 ? 1 : 1 - total(unsupported) / nodes };
}
