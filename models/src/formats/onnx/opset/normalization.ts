/** Normalisation and dropout, in their inference form. */
import { tensor } from '@graft/core/tensor';

import type { Node } from '../../../graph/graph.js';
import { attribute, cannotConvert, without } from './attributes.js';
import { onlyTested } from './early.js';
import type { ConversionContext, Family } from './history.js';
import { Steps } from './steps.js';

export const normalization: Family = {
  BatchNormalization: { versions: [1, 6, 7, 9, 14, 15], into: { 7: onlyTested, 9: spatialOnly, 14: inferenceOnly } },
  Dropout: { versions: [1, 6, 7, 10, 12, 13, 22], into: { 7: onlyTested, 10: withoutMask, 12: ratioAsInput } },
  GroupNormalization: { versions: [18, 21], into: { 21: scalePerChannel } },
  InstanceNormalization: { versions: [1, 6, 22] },
  LRN: { versions: [1, 13] },
  LayerNormalization: { versions: [17] },
  LpNormalization: { versions: [1, 22] },
  MeanVarianceNormalization: { versions: [9, 13] },
};

/** Until 9, spatial=0 kept a mean for every activation instead of every channel. */
function spatialOnly(node: Node): Node[] {
  if ((attribute(node, 'spatial', 'int') ?? 1) !== 1) throw cannotConvert(node, 'spatial=0 was removed in opset 9');
  return [{ ...node, attributes: without(node, 'spatial') }];
}

/** Until 14 five outputs meant training, and the last two had other contents. */
function inferenceOnly(node: Node): Node[] {
  if (node.outputs.slice(1).some((name) => name !== '')) {
    throw cannotConvert(node, 'it is in training form; export the model for inference');
  }
  return [{ ...node, outputs: node.outputs.slice(0, 1) }];
}

/** Until 10 the mask had the type of the data. */
function withoutMask(node: Node, context: ConversionContext): Node[] {
  const [output = '', mask = ''] = node.outputs;
  if (mask !== '' && context.isRead(mask)) {
    throw cannotConvert(node, 'its mask is read, and the type of the mask changed in opset 10');
  }
  return [{ ...node, outputs: [output] }];
}

function ratioAsInput(node: Node, context: ConversionContext): Node[] {
  const value = attribute(node, 'ratio', 'float') ?? 0.5;
  const ratio = context.addConstant(`${node.name}.ratio`, tensor('float32', [], Float32Array.of(value)));
  return [{ ...node, inputs: [...node.inputs, ratio], attributes: without(node, 'ratio') }];
}

/** Version 18 scaled each group; ONNX withdrew it. Every channel gets the scale of its group. */
function scalePerChannel(node: Node, context: ConversionContext): Node[] {
  const [x = '', scale = '', bias = ''] = node.inputs;
  const groups = attribute(node, 'num_groups', 'int') ?? 1;
  const steps = new Steps(node, context);
  const channels = steps.add('Shape', [x], { start: 1, end: 2 });
  const size = steps.add('Div', [channels, steps.ints('groups', [groups])]);
  const spread = steps.add('Concat', [steps.ints('each', [groups]), size], { axis: 0 });
  const perChannel = (name: string): string => {
    const column = steps.add('Unsqueeze', [name, steps.ints('last', [1])]);
    return steps.add('Reshape', [steps.add('Expand', [column, spread]), steps.ints('flat', [-1])]);
  };
  const inputs = [x, perChannel(scale), perChannel(bias)];
  return [...steps.nodes, { ...node, name: `${node.name}/normal`, inputs }];
}
