/** Element type and shape of every value of a model, before anything runs. */
import type { Dimension, Model, ValueType } from '../graph/graph.js';
import { TypeScope } from './type-scope.js';

/** Shapes of inputs, where they are better known than the graph declares. */
export type InputShapes = Readonly<Record<string, readonly Dimension[]>>;

/**
 * Types by name: inputs, weights and the outputs of all nodes. Dimensions that depend on a symbol are products like '6*batch'.
 * Takes the weights too, since Reshape, Slice and others have their shapes from constants.
 * Throws MODEL_UNSUPPORTED for an operator that is not in the table or a shape that cannot be known, MODEL_MALFORMED where shapes do not fit.
 */
export function inferShapes(model: Model, inputShapes: InputShapes = {}): Map<string, ValueType> {
  const scope = scopeOf(model, inputShapes);
  return new Map([...scope.entries()].map(([name, known]) => [name, typeOf(known)]));
}

function typeOf({ dtype, shape, container }: ValueType): ValueType {
  return { dtype, ...(shape && { shape }), ...(container && { container }) };
}

/** The scope of a whole model. */
export function scopeOf(model: Model, inputShapes: InputShapes = {}): TypeScope {
  const scope = declarationsOf(model, inputShapes);
  for (const node of model.graph.nodes) scope.infer(node);
  return scope;
}

/** A scope that knows the inputs and weights only. */
export function declarationsOf({ graph, weights }: Model, inputShapes: InputShapes = {}): TypeScope {
  const scope = new TypeScope();
  for (const { name, ...type } of graph.inputs) {
    const shape = inputShapes[name] ?? type.shape;
    scope.declare(name, typeOf(shape === undefined ? type : { ...type, shape }));
  }
  for (const { name, dtype, shape } of graph.weights) {
    const value = weights.get(name);
    if (value !== undefined) scope.declareTensor(name, value);
    else scope.declare(name, shape === undefined ? { dtype } : { dtype, shape });
  }
  return scope;
}
