/** EfficientNet-Lite0 from a PyTorch state dict (.pth) learns digits: the network is our definition, its last block and a new head are trained. */
import { efficientNetLite0, pooled } from '@graft/models/architectures/efficientnet-lite0';
import { readStateDict } from '@graft/models/formats/pytorch/state-dict.adapter';
import { withHead } from '@graft/models/graph/head';
import { withWeights } from '@graft/models/graph/with-weights';

import { digits, split } from './support/examples.mjs';
import { fineTune, optionsOf } from './support/fine-tune.mjs';
import { material } from './support/material.mjs';

const options = optionsOf('Fine-tunes EfficientNet-Lite0 from a .pth file on digits.', {
  defaults: { epochs: 6, examples: 1000 },
  small: { epochs: 4, examples: 160 },
});
const size = 96;
const pretrained = withWeights(
  efficientNetLite0({ size, classes: 1000 }, options.seed),
  await readStateDict(material('efficientnet-lite0.pth')),
);
const model = withHead(pretrained, { features: pooled, classes: 10, seed: options.seed });
const test = 100;
const images = digits({ input: 'input', size, count: options.examples + test, seed: options.seed });
await fineTune({
  name: 'efficientnet-lite0',
  model,
  cut: '_blocks.14',
  step: { trainable: 'all', loss: 'softmax-cross-entropy', optimizer: { kind: 'adam' } },
  learning: { epochs: options.epochs, batchSize: 16, learningRate: 0.001 },
  examples: split(images, { train: options.examples, test, seed: options.seed }),
  options,
});
