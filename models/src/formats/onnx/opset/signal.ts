/** Fourier transforms and windows. DFT took its axis as an attribute until 20. */
import { tensor } from '@graft/core/tensor';

import type { Node } from '../../../graph/graph.js';
import { attribute, without } from './attributes.js';
import type { ConversionContext, Family } from './history.js';

export const signal: Family = {
  BlackmanWindow: { versions: [17] },
  DFT: { versions: [17, 20], into: { 20: axisAsInput } },
  HammingWindow: { versions: [17] },
  HannWindow: { versions: [17] },
  MelWeightMatrix: { versions: [17] },
  STFT: { versions: [17] },
};

function axisAsInput(node: Node, context: ConversionContext): Node[] {
  const axis = BigInt(attribute(node, 'axis', 'int') ?? 1);
  const name = context.addConstant(`${node.name}.axis`, tensor('int64', [], BigInt64Array.of(axis)));
  const [signal = '', length = ''] = node.inputs;
  return [{ ...node, inputs: [signal, length, name], attributes: without(node, 'axis') }];
}
