/** Layers of LSTM (Hochreiter and Schmidhuber, 1997) and a classifier on the last state. Weights are ONNX's: gates in the order i, o, f, c. */
import type { Model } from '../graph/graph.js';
import { uniform } from './initial-weights.js';
import { linear } from './layers.js';
import { NetBuilder } from './net-builder.js';

export interface LstmClassifierOptions {
  readonly steps: number;
  /** Numbers a step. */
  readonly inputs: number;
  readonly hidden: number;
  readonly layers: number;
  readonly classes: number;
}

/** Input [batch, steps, inputs], output 'logits' [batch, classes]. */
export function lstmClassifier({ steps, inputs, hidden, layers, classes }: LstmClassifierOptions, seed: number): Model {
  const net = new NetBuilder({ name: 'lstm', exampleShape: [steps, inputs], seed });
  let sequence = net.add('Transpose', [net.input], { perm: [1, 0, 2] });
  let state = '';
  for (let layer = 0; layer < layers; layer++) {
    const bound = uniform(1 / Math.sqrt(hidden));
    const weights = [
      net.weight(`lstm.${layer}.W`, [1, 4 * hidden, net.size(sequence, 2)], bound),
      net.weight(`lstm.${layer}.R`, [1, 4 * hidden, hidden], bound),
      net.weight(`lstm.${layer}.B`, [1, 8 * hidden], bound),
    ];
    const [outputs = '', last = ''] = net.addMany('LSTM', [sequence, ...weights], 2, { hidden_size: hidden });
    sequence = net.named(`lstm.${layer}`, 'Squeeze', [outputs, net.ints([1])]);
    state = last;
  }
  linear(net, 'classifier', net.named('last state', 'Squeeze', [state, net.ints([0])]), {
    outputs: classes,
    output: 'logits',
  });
  return net.model();
}
