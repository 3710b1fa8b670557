/** The type of any value of a model: as declared, else as the operators' shape rules give it. */
import { GraftError } from '@graft/core/error';
import type { Tensor } from '@graft/core/tensor';

import { elementTypes } from '../formats/onnx/opset/element-type.js';
import { inferShapes } from '../operators/infer-shapes.js';
import { extract, unknownTensor } from './extract.js';
import type { Model, Value } from './graph.js';

/**
 * Where a shape rule is missing on the way, the element type alone, followed back to where it is declared.
 * Throws TENSOR_UNKNOWN where the graph has no such value, MODEL_UNSUPPORTED where not even that is known.
 */
export function valueOf(model: Model, name: string): Value {
  const { graph } = model;
  const declared = [...graph.inputs, ...graph.weights].find((value) => value.name === name);
  if (declared !== undefined) return declared;
  if (name === '' || !graph.nodes.some(({ outputs }) => outputs.includes(name))) throw unknownTensor(graph, name);
  const way = extract(model, { inputs: graph.inputs, outputs: [{ name, dtype: 'float32' }] });
  try {
    const type = inferShapes(way).get(name);
    if (type !== undefined) return { name, ...type };
  } catch (error) {
    if (!(error instanceof GraftError) || error.code !== 'MODEL_UNSUPPORTED') throw error;
  }
  const producer = new Map(graph.nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)));
  const constant = (weight: string): Tensor | undefined => model.weights.get(weight);
  const dtype = elementTypes({ inputs: graph.inputs, producer, constant })(name);
  if (dtype === undefined) throw new GraftError('MODEL_UNSUPPORTED', `the element type of '${name}' is not known`);
  return { name, dtype };
}
