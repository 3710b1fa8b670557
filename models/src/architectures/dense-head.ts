/** A classifier of feature vectors with one hidden layer: Linear, ReLU, Linear. */
import type { Model } from '../graph/graph.js';
import { linear } from './layers.js';
import { NetBuilder } from './net-builder.js';

export interface DenseHeadOptions {
  readonly inputs: number;
  readonly hidden: number;
  readonly classes: number;
}

/** Input [batch, inputs], output 'logits' [batch, classes]; weights fc1 and fc2. */
export function denseHead({ inputs, hidden, classes }: DenseHeadOptions, seed: number): Model {
  const net = new NetBuilder({ name: 'dense head', exampleShape: [inputs], seed });
  const x = net.named('relu1', 'Relu', [linear(net, 'fc1', net.input, { outputs: hidden })]);
  linear(net, 'fc2', x, { outputs: classes, output: 'logits' });
  return net.model();
}
