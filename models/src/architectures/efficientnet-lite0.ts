/**
 * EfficientNet-Lite0: Tan and Le, 2019, https://arxiv.org/abs/1905.11946, without squeeze and excitation and with ReLU6
 * (tensorflow/tpu, models/official/efficientnet/lite). Names of weights as efficientnet_lite_pytorch on PyPI has them.
 */
import type { Model } from '../graph/graph.js';
import { heNormal, normal, zerosThere } from './initial-weights.js';
import { averageOfPlane, batchNorm, linear } from './layers.js';
import { NetBuilder } from './net-builder.js';

export interface EfficientNetLite0Options {
  /** Side of the RGB image; 224 in the paper. Values: (pixel - 127) / 128. */
  readonly size: number;
  readonly classes: number;
}

/** Blocks, kernel, stride of the first one, expansion, channels. */
const stages = [
  [1, 3, 1, 1, 16],
  [2, 3, 2, 6, 24],
  [2, 5, 2, 6, 40],
  [3, 3, 2, 6, 80],
  [3, 5, 1, 6, 112],
  [4, 5, 2, 6, 192],
  [1, 3, 1, 6, 320],
] as const;

/** Where a trunk ends whose tail is the classifier. */
export const pooled = 'pooled';

/** Input [batch, 3, size, size], output 'logits' [batch, classes]. Blocks are '_blocks.0' to '_blocks.15'. */
export function efficientNetLite0({ size, classes }: EfficientNetLite0Options, seed: number): Model {
  const net = new NetBuilder({ name: 'efficientnet-lite0', exampleShape: [3, size, size], seed });
  let x = relu6(
    net,
    normalized(net, '_bn0', conv(net, '_conv_stem', net.input, { outputs: 32, kernel: 3, stride: 2 })),
  );
  let number = 0;
  for (const [blocks, kernel, stride, expansion, outputs] of stages) {
    for (let i = 0; i < blocks; i++) {
      x = invertedResidual(net, `_blocks.${number++}`, x, { kernel, stride: i === 0 ? stride : 1, expansion, outputs });
    }
  }
  x = relu6(net, normalized(net, '_bn1', conv(net, '_conv_head', x, { outputs: 1280, kernel: 1 })));
  const features = net.named(pooled, 'Identity', [averageOfPlane(net, x)]);
  linear(net, '_fc', features, { outputs: classes, initial: normal(0.01), bias: zerosThere, output: 'logits' });
  return net.model();
}

interface Block {
  readonly kernel: number;
  readonly stride: number;
  readonly expansion: number;
  readonly outputs: number;
}

function invertedResidual(net: NetBuilder, name: string, x: string, block: Block): string {
  const { kernel, stride, expansion, outputs } = block;
  const inputs = net.size(x, 1);
  const hidden = inputs * expansion;
  let y = x;
  if (expansion !== 1) {
    y = conv(net, `${name}._expand_conv`, y, { outputs: hidden, kernel: 1 });
    y = relu6(net, normalized(net, `${name}._bn0`, y));
  }
  y = conv(net, `${name}._depthwise_conv`, y, { outputs: hidden, kernel, stride, groups: hidden });
  y = relu6(net, normalized(net, `${name}._bn1`, y));
  y = normalized(net, `${name}._bn2`, conv(net, `${name}._project_conv`, y, { outputs, kernel: 1 }));
  if (stride === 1 && inputs === outputs) return net.named(name, 'Add', [y, x]);
  return net.named(name, 'Identity', [y]);
}

interface SameConv {
  readonly outputs: number;
  readonly kernel: number;
  readonly stride?: number;
  readonly groups?: number;
}

/** Padded as TensorFlow's 'same': the output has ceil(size / stride) places, what is odd of the padding comes last. */
function conv(net: NetBuilder, name: string, x: string, { outputs, kernel, stride = 1, groups = 1 }: SameConv): string {
  const weight = net.weight(`${name}.weight`, [outputs, net.size(x, 1) / groups, kernel, kernel], heNormal);
  const [before, after] = samePadding(net.size(x, 2), kernel, stride);
  return net.named(name, 'Conv', [x, weight], {
    kernel_shape: [kernel, kernel],
    strides: [stride, stride],
    pads: [before, before, after, after],
    group: groups,
  });
}

function samePadding(size: number, kernel: number, stride: number): [before: number, after: number] {
  const total = Math.max(0, (Math.ceil(size / stride) - 1) * stride + kernel - size);
  return [Math.floor(total / 2), Math.ceil(total / 2)];
}

const normalized = (net: NetBuilder, name: string, x: string): string => batchNorm(net, name, x, 1e-3);

function relu6(net: NetBuilder, x: string): string {
  return net.add('Clip', [x, net.scalar(0, x), net.scalar(6, x)]);
}
