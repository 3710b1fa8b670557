/** A small convolutional classifier of the kind that LeCun and others (1998) introduced: two of convolution and pool, two dense. */
import type { Model } from '../graph/graph.js';
import { conv, linear } from './layers.js';
import { NetBuilder } from './net-builder.js';

export interface SmallCnnOptions {
  /** Channels of the image and its side, a multiple of 4. */
  readonly channels: number;
  readonly size: number;
  /** Of the two convolutions. */
  readonly widths: readonly [number, number];
  readonly hidden: number;
  readonly classes: number;
}

/** The size for digits of 28 x 28. */
export const digitsCnn: SmallCnnOptions = { channels: 1, size: 28, widths: [16, 32], hidden: 128, classes: 10 };

/** Input [batch, channels, size, size], output 'logits' [batch, classes]; weights conv1, conv2, fc1, fc2. */
export function smallCnn({ channels, size, widths, hidden, classes }: SmallCnnOptions, seed: number): Model {
  const net = new NetBuilder({ name: 'small cnn', exampleShape: [channels, size, size], seed });
  let x = net.input;
  for (const [i, outputs] of widths.entries()) {
    const y = conv(net, `conv${i + 1}`, x, { outputs, kernel: 3, bias: true });
    const active = net.named(`relu${i + 1}`, 'Relu', [y]);
    x = net.named(`pool${i + 1}`, 'MaxPool', [active], { kernel_shape: [2, 2], strides: [2, 2] });
  }
  const flat = net.named('flat', 'Flatten', [x], { axis: 1 });
  const dense = net.named('relu3', 'Relu', [linear(net, 'fc1', flat, { outputs: hidden })]);
  linear(net, 'fc2', dense, { outputs: classes, output: 'logits' });
  return net.model();
}
