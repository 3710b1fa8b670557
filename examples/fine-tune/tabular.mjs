/** A multi-layer perceptron on a table of numbers, from scratch: two spirals among columns of noise. */
import { multiLayerPerceptron } from '@graft/models/architectures/multi-layer-perceptron';

import { spiralTable, split } from './support/examples.mjs';
import { fineTune, optionsOf } from './support/fine-tune.mjs';

const options = optionsOf('Trains a multi-layer perceptron on a table.', {
  defaults: { epochs: 60, examples: 2000 },
  small: { epochs: 25, examples: 1000 },
});
const columns = 6;
const model = multiLayerPerceptron({ inputs: columns, hidden: [64, 64], classes: 2 }, options.seed);
const test = 400;
const table = spiralTable({ input: 'input', count: options.examples + test, columns, seed: options.seed });
await fineTune({
  name: 'tabular',
  model,
  step: {
    trainable: 'all',
    loss: 'softmax-cross-entropy',
    optimizer: { kind: 'adamw', weightDecay: 0.001 },
    clipNorm: 5,
  },
  learning: { epochs: options.epochs, batchSize: 32, learningRate: 0.004, schedule: { kind: 'one-cycle' } },
  examples: split(table, { train: options.examples, test, seed: options.seed }),
  options,
});
