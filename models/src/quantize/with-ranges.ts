/** A graph that also tells the extremes of its activations, two numbers an example: the activations themselves never leave the runtime. */
import { GraftError } from '@graft/core/error';
import { tensor } from '@graft/core/tensor';

import { unknownTensor } from '../graph/extract.js';
import type { Attribute, Graph, Model, Node, Value } from '../graph/graph.js';

/** Names of the two outputs that tell the extremes of a value. */
export function rangeOutputs(name: string): { readonly min: string; readonly max: string } {
  return { min: `${name}#min`, max: `${name}#max` };
}

const axes = '#range-axes';

/**
 * The model with the smallest and the largest element of each named value in each example as further outputs (float32 [batch]),
 * see `rangeOutputs`. The first axis of the values must be the batch.
 * Throws TENSOR_UNKNOWN where the graph has no such value, MODEL_UNSUPPORTED where it is declared as anything but float32.
 */
export function withRanges(model: Model, names: readonly string[]): Model {
  const { graph, weights } = model;
  const nodes: Node[] = [];
  const outputs: Value[] = [];
  for (const name of names) {
    requireFloat(graph, name);
    const rows = `${name}#rows`;
    const { min, max } = rangeOutputs(name);
    nodes.push(
      nodeOf('Flatten', [name], rows, { axis: { kind: 'int', value: 1 } }),
      nodeOf('ReduceMin', [rows, axes], min, { keepdims: { kind: 'int', value: 0 } }),
      nodeOf('ReduceMax', [rows, axes], max, { keepdims: { kind: 'int', value: 0 } }),
    );
    for (const output of [min, max]) outputs.push({ name: output, dtype: 'float32', shape: [`${output}.0`] });
  }
  return {
    graph: {
      ...graph,
      weights: [...graph.weights, { name: axes, dtype: 'int64', shape: [1] }],
      nodes: [...graph.nodes, ...nodes],
      outputs: [...graph.outputs, ...outputs],
    },
    weights: new Map([...weights, [axes, tensor('int64', [1], BigInt64Array.of(1n))]]),
  };
}

function requireFloat(graph: Graph, name: string): void {
  const declared = [...graph.inputs, ...graph.weights].find((value) => value.name === name);
  if (declared !== undefined && declared.dtype !== 'float32') {
    throw new GraftError('MODEL_UNSUPPORTED', `'${name}' is ${declared.dtype}, a range needs float32`);
  }
  if (declared === undefined && !graph.nodes.some(({ outputs }) => outputs.includes(name))) {
    throw unknownTensor(graph, name);
  }
}

function nodeOf(op: string, inputs: readonly string[], output: string, attributes: Record<string, Attribute>): Node {
  return { name: output, op, domain: '', inputs, outputs: [output], attributes };
}
