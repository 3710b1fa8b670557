/** A ResNet-18 as PyTorch exports it to ONNX learns digits from random weights, all layers. */
import { digits, split } from './support/examples.mjs';
import { exported } from './support/exported.mjs';
import { fineTune, optionsOf } from './support/fine-tune.mjs';

const options = optionsOf('Trains all layers of a ResNet-18 that PyTorch exported, from random weights.', {
  defaults: { epochs: 4, examples: 1000 },
  small: { epochs: 3, examples: 160 },
});
const test = 100;
const images = digits({ input: 'input', size: 64, count: options.examples + test, seed: options.seed });
await fineTune({
  name: 'resnet18',
  model: exported('resnet18', options.seed),
  step: {
    trainable: 'all',
    loss: { kind: 'softmax-cross-entropy', smoothing: 0.05 },
    optimizer: { kind: 'adam' },
    clipNorm: 5,
  },
  learning: {
    epochs: options.epochs,
    batchSize: 16,
    learningRate: 0.0005,
    schedule: { kind: 'cosine', warmupSteps: 5 },
  },
  examples: split(images, { train: options.examples, test, seed: options.seed }),
  options,
});
