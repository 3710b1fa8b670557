/** MobileNetV2: Sandler and others, 2018, https://arxiv.org/abs/1801.04381; names of weights as torchvision.models.mobilenet_v2. */
import type { Model } from '../graph/graph.js';
import { normal, zerosThere } from './initial-weights.js';
import { averageOfPlane, batchNorm, conv, linear, type ConvOptions } from './layers.js';
import { NetBuilder } from './net-builder.js';

export interface MobileNetV2Options {
  /** Side of the RGB image. */
  readonly size: number;
  /** Multiplier of all channels; 1 in the paper. */
  readonly width: number;
  readonly classes: number;
  /** Groups of blocks; the paper's where left out. */
  readonly stages?: readonly Stage[];
  /** Channels of the last convolution before `width`, which only makes it larger; 1280 in the paper. */
  readonly lastChannels?: number;
}

/** Expansion, channels, blocks, stride of the first block. */
export type Stage = readonly [expansion: number, channels: number, blocks: number, stride: number];

/** Table 2 of the paper. */
const paperStages: readonly Stage[] = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
];

/** Where a trunk ends whose tail is the last block, the last convolution and the classifier. */
export const lastBlockInput = 'features.16';

/** Input [batch, 3, size, size], output 'logits' [batch, classes]. Blocks are 'features.0' to 'features.18'. */
export function mobileNetV2(options: MobileNetV2Options, seed: number): Model {
  const { size, width, classes, stages = paperStages, lastChannels = 1280 } = options;
  const net = new NetBuilder({ name: 'mobilenet-v2', exampleShape: [3, size, size], seed });
  const outputs = channelsOf(32 * width);
  let x = convolution(net, 'features.0', net.input, { outputs, kernel: 3, stride: 2 });
  let count = 1;
  for (const [expansion, channels, blocks, stride] of stages) {
    for (let i = 0; i < blocks; i++) {
      const block = { expansion, outputs: channelsOf(channels * width), stride: i === 0 ? stride : 1 };
      x = invertedResidual(net, `features.${count++}`, x, block);
    }
  }
  const last = `features.${count}`;
  const wide = channelsOf(lastChannels * Math.max(1, width));
  x = convolution(net, last, x, { outputs: wide, kernel: 1 });
  linear(net, 'classifier.1', averageOfPlane(net, x), {
    outputs: classes,
    initial: normal(0.01),
    bias: zerosThere,
    output: 'logits',
  });
  return net.model();
}

/** To the nearest multiple of 8, but not below nine tenths. */
function channelsOf(channels: number): number {
  const rounded = Math.max(8, Math.floor((channels + 4) / 8) * 8);
  return rounded < 0.9 * channels ? rounded + 8 : rounded;
}

/** Convolution '.0', normalization '.1' and ReLU6. */
function convolution(net: NetBuilder, name: string, x: string, options: ConvOptions): string {
  const y = batchNorm(net, `${name}.1`, conv(net, `${name}.0`, x, options));
  return net.named(name, 'Clip', [y, net.scalar(0, y), net.scalar(6, y)]);
}

function invertedResidual(
  net: NetBuilder,
  name: string,
  x: string,
  { expansion, outputs, stride }: { expansion: number; outputs: number; stride: number },
): string {
  const inputs = net.size(x, 1);
  const hidden = inputs * expansion;
  const layer = (index: number): string => `${name}.conv.${index}`;
  let [y, index] = [x, 0];
  if (expansion !== 1) {
    y = convolution(net, layer(index), y, { outputs: hidden, kernel: 1 });
    index++;
  }
  y = convolution(net, layer(index), y, { outputs: hidden, kernel: 3, stride, groups: hidden });
  index++;
  const projected = batchNorm(net, layer(index + 1), conv(net, layer(index), y, { outputs, kernel: 1 }));
  return net.named(name, stride === 1 && inputs === outputs ? 'Add' : 'Identity', [
    projected,
    ...(stride === 1 && inputs === outputs ? [x] : []),
  ]);
}
