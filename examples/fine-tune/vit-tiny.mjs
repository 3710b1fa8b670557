/** A ViT-Tiny as PyTorch exports it to ONNX (12 layers of attention) learns digits from random weights, all layers. */
import { digits, split } from './support/examples.mjs';
import { exported } from './support/exported.mjs';
import { fineTune, optionsOf } from './support/fine-tune.mjs';

const options = optionsOf('Trains all layers of a ViT-Tiny that PyTorch exported, from random weights.', {
  defaults: { epochs: 10, examples: 2000 },
  small: { epochs: 6, examples: 192 },
});
const test = 100;
const images = digits({ input: 'input', size: 64, count: options.examples + test, seed: options.seed });
await fineTune({
  name: 'vit-tiny',
  model: exported('vit-tiny', options.seed),
  step: {
    trainable: 'all',
    loss: 'softmax-cross-entropy',
    optimizer: { kind: 'adamw', weightDecay: 0.05, decayOn: 'matrices' },
    clipNorm: 1,
  },
  learning: {
    epochs: options.epochs,
    batchSize: 16,
    learningRate: 0.0005,
    schedule: { kind: 'cosine', warmupSteps: 10 },
  },
  examples: split(images, { train: options.examples, test, seed: options.seed }),
  options,
});
