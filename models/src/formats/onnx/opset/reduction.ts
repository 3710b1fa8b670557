/** Reductions took their axes as an attribute: ReduceSum until 13, the others until 18. */
import type { Node } from '../../../graph/graph.js';
import { attribute, int64s, intsAsInput, trimmed, without } from './attributes.js';
import type { ConversionContext, Family } from './history.js';

export const reduction: Family = {
  ArgMax: { versions: [1, 11, 12, 13] },
  ArgMin: { versions: [1, 11, 12, 13] },
  CumSum: { versions: [11, 14] },
  ReduceL1: { versions: [1, 11, 13, 18], into: { 18: axesAsInput } },
  ReduceL2: { versions: [1, 11, 13, 18], into: { 18: axesAsInput } },
  ReduceLogSum: { versions: [1, 11, 13, 18], into: { 18: axesAsInput } },
  ReduceLogSumExp: { versions: [1, 11, 13, 18], into: { 18: axesAsInput } },
  ReduceMax: { versions: [1, 11, 12, 13, 18, 20], into: { 18: axesAsInput } },
  ReduceMean: { versions: [1, 11, 13, 18], into: { 18: axesAsInput } },
  ReduceMin: { versions: [1, 11, 12, 13, 18, 20], into: { 18: axesAsInput } },
  ReduceProd: { versions: [1, 11, 13, 18], into: { 18: axesAsInput } },
  ReduceSum: { versions: [1, 11, 13], into: { 13: axesAsInput } },
  ReduceSumSquare: { versions: [1, 11, 13, 18], into: { 18: axesAsInput } },
  TopK: { versions: [1, 10, 11, 24], into: { 10: countAsInput } },
};

function axesAsInput(node: Node, context: ConversionContext): Node[] {
  const inputs = trimmed([...node.inputs, intsAsInput(node, 'axes', context)]);
  return [{ ...node, inputs, attributes: without(node, 'axes') }];
}

function countAsInput(node: Node, context: ConversionContext): Node[] {
  const k = context.addConstant(`${node.name}.k`, int64s([attribute(node, 'k', 'int') ?? 0]));
  return [{ ...node, inputs: [...node.inputs, k], attributes: without(node, 'k') }];
}
