/** Files that were exported for one batch size: their Reshape nodes name it, https://onnx.ai/onnx/operators/onnx__Reshape.html */
import { GraftError } from '@graft/core/error';
import { tensor, type Tensor } from '@graft/core/tensor';

import type { Dimension, Model, Node } from '../../graph/graph.js';
import { declarationsOf } from '../../operators/infer-shapes.js';
import type { TypeScope } from '../../operators/type-scope.js';
import { intOf } from '../../operators/site.js';

const batch = 'batch';

/**
 * The model with every Reshape that turns examples of the declared batch into as many examples told to keep their number, whatever it is:
 * the same for that batch. Where a node holds to the batch in another way, what comes after it stays as it is.
 */
export function withFreeBatch(model: Model): Model {
  const fixed = model.graph.inputs.flatMap(({ shape = [] }) => (typeof shape[0] === 'number' ? [shape[0]] : []));
  const [size] = fixed;
  if (size === undefined || fixed.some((each) => each !== size)) return model;
  const scope = declarationsOf(model, Object.fromEntries(model.graph.inputs.flatMap(freed)));
  const added = new Map<string, Tensor>();
  const nodes: Node[] = [];
  let isKnown = true;
  for (const node of model.graph.nodes) {
    const free = isKnown ? keepingRows(node, { model, size, scope, added }) : node;
    nodes.push(free);
    isKnown &&= learns(free, scope);
  }
  if (added.size === 0) return model;
  const values = [...added].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  return {
    graph: { ...model.graph, nodes, weights: [...model.graph.weights, ...values] },
    weights: new Map([...model.weights, ...added]),
  };
}

function freed({ name, shape = [] }: Model['graph']['inputs'][number]): [string, readonly Dimension[]][] {
  return shape.length === 0 ? [] : [[name, [batch, ...shape.slice(1)]]];
}

interface Freeing {
  readonly model: Model;
  readonly size: number;
  readonly scope: TypeScope;
  readonly added: Map<string, Tensor>;
}

/** A size of 0 is that of the input. */
function keepingRows(node: Node, { model, size, scope, added }: Freeing): Node {
  if (node.op !== 'Reshape' || node.domain !== '' || intOf(node, 'allowzero', 0) !== 0) return node;
  const [x = '', to = ''] = node.inputs;
  const shape = model.weights.get(to);
  if (shape?.dtype !== 'int64' || shape.data[0] !== BigInt(size) || scope.of(x).shape?.[0] !== batch) return node;
  const name = `train/${to} of any batch`;
  added.set(name, tensor('int64', shape.shape, shape.data.with(0, 0n)));
  scope.declareTensor(name, added.get(name) ?? shape);
  return { ...node, inputs: [x, name] };
}

/** Whether the types of the node's outputs are known for any batch. */
function learns(node: Node, scope: TypeScope): boolean {
  try {
    scope.infer(node);
    return true;
  } catch (error) {
    if (error instanceof GraftError) return false;
    throw error;
  }
}
