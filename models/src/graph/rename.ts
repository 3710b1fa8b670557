/** Values and nodes under other names. */
import type { Attribute, Graph, Model, Node, Value } from './graph.js';

/** Renames values, in subgraphs too; names that are not in the map stay. */
export function renameValues<G extends Graph>(graph: G, names: ReadonlyMap<string, string>): G {
  const renamed = (name: string): string => names.get(name) ?? name;
  const renamedValue = (value: Value): Value => ({ ...value, name: renamed(value.name) });
  return {
    ...graph,
    inputs: graph.inputs.map(renamedValue),
    outputs: graph.outputs.map(renamedValue),
    weights: graph.weights.map(renamedValue),
    nodes: graph.nodes.map((node) => ({
      ...node,
      inputs: node.inputs.map(renamed),
      outputs: node.outputs.map(renamed),
      attributes: mapSubgraphs(node, (subgraph) => renameValues(subgraph, names)),
    })),
  };
}

/** A model with its values, inputs, outputs and weights renamed. */
export function renameModel(model: Model, names: ReadonlyMap<string, string>): Model {
  return {
    graph: renameValues(model.graph, names),
    weights: new Map([...model.weights].map(([name, value]) => [names.get(name) ?? name, value])),
  };
}

/** The node's attributes with each subgraph replaced. */
export function mapSubgraphs(node: Node, change: (subgraph: Graph) => Graph): Record<string, Attribute> {
  const attributes = Object.entries(node.attributes).map(([name, value]): [string, Attribute] =>
    value.kind === 'graph' ? [name, { kind: 'graph', value: change(value.value) }] : [name, value],
  );
  return Object.fromEntries(attributes);
}
