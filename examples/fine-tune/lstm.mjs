/** A 2-layer LSTM on the readings of three sensors, from scratch: does the machine run well, shake, or overheat? */
import { lstmClassifier } from '@graft/models/architectures/lstm-classifier';

import { sensorSeries, split } from './support/examples.mjs';
import { fineTune, optionsOf } from './support/fine-tune.mjs';

const options = optionsOf('Trains a 2-layer LSTM on a series of sensor readings.', {
  defaults: { epochs: 12, examples: 1500 },
  small: { epochs: 10, examples: 800 },
});
const steps = 32;
const model = lstmClassifier({ steps, inputs: 3, hidden: 32, layers: 2, classes: 3 }, options.seed);
const test = 300;
const series = sensorSeries({ input: 'input', count: options.examples + test, steps, seed: options.seed });
await fineTune({
  name: 'lstm',
  model,
  step: { trainable: 'all', loss: 'softmax-cross-entropy', optimizer: { kind: 'adam' }, clipNorm: 1 },
  learning: { epochs: options.epochs, batchSize: 32, learningRate: 0.006, schedule: { kind: 'cosine' } },
  examples: split(series, { train: options.examples, test, seed: options.seed }),
  options,
});
