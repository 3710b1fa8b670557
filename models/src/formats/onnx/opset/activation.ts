/** Activations. Clip took its limits as attributes until 11; Softmax and its kin flattened until 13. */
import type { Node } from '../../../graph/graph.js';
import { attribute, floatAsInput, trimmed, without } from './attributes.js';
import { shortConstants, slopePerChannel } from './early.js';
import type { ConversionContext, Family } from './history.js';

export const activation: Family = {
  Celu: { versions: [12] },
  Clip: { versions: [1, 6, 11, 12, 13], into: { 11: limitsAsInputs } },
  Elu: { versions: [1, 6, 22] },
  Gelu: { versions: [20] },
  HardSigmoid: { versions: [1, 6, 22] },
  HardSwish: { versions: [14, 22] },
  Hardmax: { versions: [1, 11, 13], into: { 13: withoutFlattening } },
  LeakyRelu: { versions: [1, 6, 16] },
  LogSoftmax: { versions: [1, 11, 13], into: { 13: withoutFlattening } },
  Mish: { versions: [18, 22] },
  PRelu: { versions: [1, 6, 7, 9, 16], into: { 7: slopePerChannel } },
  Relu: { versions: [1, 6, 13, 14] },
  Selu: { versions: [1, 6, 22], into: { 6: shortConstants } },
  Shrink: { versions: [9] },
  Sigmoid: { versions: [1, 6, 13] },
  Softmax: { versions: [1, 11, 13], into: { 13: withoutFlattening } },
  Softplus: { versions: [1, 22] },
  Softsign: { versions: [1, 22] },
  ThresholdedRelu: { versions: [10, 22] },
};

/** Until 11 a limit left out was the largest float32, which changes nothing but infinities; it stays left out. */
function limitsAsInputs(node: Node, context: ConversionContext): Node[] {
  const limits = [floatAsInput(node, 'min', context), floatAsInput(node, 'max', context)];
  return [{ ...node, inputs: trimmed([...node.inputs, ...limits]), attributes: without(node, 'min', 'max') }];
}

/**
 * Until 13 the input was seen as a matrix, rows up to `axis` (default 1) and columns from it on, and each row normalised.
 * That is today's meaning where `axis` is the last; elsewhere the matrix is made, and its shape undone afterwards.
 */
function withoutFlattening(node: Node, context: ConversionContext): Node[] {
  const axis = attribute(node, 'axis', 'int') ?? 1;
  const [input = '', output = ''] = [node.inputs[0], node.outputs[0]];
  const rank = context.rank(input);
  if (axis === -1 || axis + 1 === rank) return [{ ...node, attributes: { axis: { kind: 'int', value: -1 } } }];
  const [shape, matrix, rows] = ['shape', 'matrix', 'rows'].map((part) => context.fresh(`${output}.${part}`));
  if (shape === undefined || matrix === undefined || rows === undefined) return [node];
  const made = { domain: '', attributes: {} };
  return [
    { ...made, name: `${node.name}.shape`, op: 'Shape', inputs: [input], outputs: [shape] },
    {
      ...made,
      name: `${node.name}.flatten`,
      op: 'Flatten',
      inputs: [input],
      outputs: [matrix],
      attributes: { axis: { kind: 'int', value: axis } },
    },
    { ...node, inputs: [matrix], outputs: [rows], attributes: { axis: { kind: 'int', value: -1 } } },
    { ...made, name: `${node.name}.reshape`, op: 'Reshape', inputs: [rows, shape], outputs: [output] },
  ];
}
