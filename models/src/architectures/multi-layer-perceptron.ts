/** Dense layers with ReLU between them, for tables. */
import type { Model } from '../graph/graph.js';
import { linear } from './layers.js';
import { NetBuilder } from './net-builder.js';

export interface MultiLayerPerceptronOptions {
  readonly inputs: number;
  readonly hidden: readonly number[];
  readonly classes: number;
}

/** Input [batch, inputs], output 'logits' [batch, classes]. Layers are 'layers.0', 'layers.1', ... */
export function multiLayerPerceptron({ inputs, hidden, classes }: MultiLayerPerceptronOptions, seed: number): Model {
  const net = new NetBuilder({ name: 'mlp', exampleShape: [inputs], seed });
  let x = net.input;
  for (const [i, outputs] of hidden.entries()) x = net.add('Relu', [linear(net, `layers.${i}`, x, { outputs })]);
  linear(net, `layers.${hidden.length}`, x, { outputs: classes, output: 'logits' });
  return net.model();
}
