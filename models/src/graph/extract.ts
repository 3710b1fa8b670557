/** The part of a model that makes some tensors out of others; everything else is dropped, weights too. */
import { GraftError } from '@graft/core/error';

import { namesRead } from './captures.js';
import type { Graph, Model, Value } from './graph.js';

/**
 * What leads from `inputs` to `outputs`. Inputs of the model may be among `inputs`; those that are not needed stay declared.
 * Throws TENSOR_UNKNOWN where an output is made by nothing, MODEL_UNSUPPORTED where it also needs an input that is not given.
 */
export function extract(model: Model, part: { inputs: readonly Value[]; outputs: readonly Value[] }): Model {
  const { graph, weights } = model;
  const given = new Set(part.inputs.map(({ name }) => name));
  const needed = namesNeeded(graph, given, part.outputs);
  const missing = graph.inputs.find(({ name }) => needed.has(name) && !given.has(name));
  if (missing !== undefined) {
    const [from, to] = [part.inputs, part.outputs].map((values) => values.map(({ name }) => `'${name}'`).join(', '));
    throw new GraftError(
      'MODEL_UNSUPPORTED',
      `${to} cannot be computed from ${from} alone: input '${missing.name}' is needed too`,
    );
  }
  const kept = graph.weights.filter(({ name }) => needed.has(name) && !given.has(name));
  return {
    graph: {
      name: graph.name,
      inputs: part.inputs,
      outputs: part.outputs,
      weights: kept,
      nodes: graph.nodes.filter((node) => node.outputs.some((name) => needed.has(name) && !given.has(name))),
    },
    weights: new Map(
      kept.flatMap(({ name }) => {
        const value = weights.get(name);
        return value === undefined ? [] : [[name, value] as const];
      }),
    ),
  };
}

/** Backwards from the outputs, not past what is given. Nodes are in topological order, so one sweep from the end is enough. */
function namesNeeded(graph: Graph, given: ReadonlySet<string>, outputs: readonly Value[]): Set<string> {
  const made = new Set([...given, ...graph.inputs.map(({ name }) => name), ...graph.weights.map(({ name }) => name)]);
  for (const node of graph.nodes) for (const output of node.outputs) made.add(output);
  const unknown = outputs.find(({ name }) => !made.has(name));
  if (unknown !== undefined) throw unknownTensor(graph, unknown.name);
  const needed = new Set(outputs.map(({ name }) => name));
  for (const node of graph.nodes.toReversed()) {
    if (node.outputs.some((name) => needed.has(name) && !given.has(name))) {
      for (const name of namesRead(node)) needed.add(name);
    }
  }
  return needed;
}

/** Names tensors that look alike, since these names are long and machine-made. */
export function unknownTensor(graph: Graph, name: string): GraftError {
  const word = name.toLowerCase().replace(/[^a-z]+\d*$/, '');
  const similar = graph.nodes
    .flatMap((node) => node.outputs)
    .filter((output) => word !== '' && output.toLowerCase().includes(word))
    .slice(0, 3);
  const hint = similar.length > 0 ? `; similar: ${similar.map((output) => `'${output}'`).join(', ')}` : '';
  return new GraftError('TENSOR_UNKNOWN', `no tensor '${name}' in graph '${graph.name}'${hint}`);
}
