/** A graph that also tells the range of its activations, as scalars: the activations themselves never leave the runtime. */
import { GraftError } from '@graft/core/error';

import { unknownTensor } from '../graph/extract.js';
import type { Graph, Model, Node, Value } from '../graph/graph.js';

/** Names of the two scalar outputs that tell the range of a tensor. */
export function rangeOutputs(name: string): { readonly min: string; readonly max: string } {
  return { min: `${name}#min`, max: `${name}#max` };
}

/**
 * The model with ReduceMin and ReduceMax of each named tensor as further outputs (float32, scalar), see `rangeOutputs`.
 * Throws TENSOR_UNKNOWN where the graph has no such tensor, MODEL_UNSUPPORTED where it is
 * declared as anything but float32.
 */
export function withRanges(model: Model, names: readonly string[]): Model {
  const { graph } = model;
  const nodes: Node[] = [];
  const outputs: Value[] = [];
  for (const name of names) {
    requireFloat(graph, name);
    const { min, max } = rangeOutputs(name);
    nodes.push(reduction('ReduceMin', name, min), reduction('ReduceMax', name, max));
    outputs.push({ name: min, dtype: 'float32', shape: [] }, { name: max, dtype: 'float32', shape: [] });
  }
  return {
    ...model,
    graph: { ...graph, nodes: [...graph.nodes, ...nodes], outputs: [...graph.outputs, ...outputs] },
  };
}

function requireFloat(graph: Graph, name: string): void {
  const declared = [...graph.inputs, ...graph.weights].find((value) => value.name === name);
  if (declared !== undefined && declared.dtype !== 'float32') {
    throw new GraftError('MODEL_UNSUPPORTED', `'${name}' is ${declared.dtype}, a range needs float32`);
  }
  if (declared === undefined && !graph.nodes.some(({ outputs }) => outputs.includes(name)))
    throw unknownTensor(graph, name);
}

function reduction(op: 'ReduceMin' | 'ReduceMax', input: string, output: string): Node {
  return {
    name: output,
    op,
    domain: '',
    inputs: [input],
    outputs: [output],
    attributes: { keepdims: { kind: 'int', value: 0 } },
  };
}
