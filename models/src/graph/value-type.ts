/** The type of any value of a graph: as declared, else the element type followed back to where it is declared. */
import { GraftError } from '@graft/core/error';

import { unknownTensor } from './extract.js';
import type { Graph, Value } from './graph.js';

/** Throws TENSOR_UNKNOWN where the graph has no such value, MODEL_UNSUPPORTED where its type is not known. */
export function valueOf(graph: Graph, name: string): Value {
  const declared = [...graph.inputs, ...graph.weights].find((value) => value.name === name);
  if (declared !== undefined) return declared;
  const node = graph.nodes.find(({ outputs }) => outputs.includes(name));
  if (node === undefined || name === '') throw unknownTensor(graph, name);
  const first = node.inputs[0];
  if (first === undefined || first === '') {
    throw new GraftError(
      'MODEL_UNSUPPORTED',
      `the type of '${name}', made by '${node.name}' (${node.op}), is not known`,
    );
  }
  return { name, dtype: valueOf(graph, first).dtype };
}
