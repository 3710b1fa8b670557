/**
 * MiniLM (all-MiniLM-L6-v2, ONNX with 8-bit weights) learns to tell praise from complaint in reviews of three companies:
 * the last of its six layers (from its query projection on) and a new head are trained.
 */
import { zeros } from '@graft/core/tensor';
import { importOnnx } from '@graft/models/formats/onnx/import-onnx';
import { withExampleInputs } from '@graft/models/graph/example-shape';
import { withFloatWeights } from '@graft/models/graph/float-weights';
import { withHead } from '@graft/models/graph/head';
import { withMeanOfTokens } from '@graft/models/graph/mean-of-tokens';
import { textEncoder } from '@graft/models/pipeline/kinds/text-example';

import { bertTokenizer, reviews, split } from './support/examples.mjs';
import { fineTune, optionsOf } from './support/fine-tune.mjs';
import { material } from './support/material.mjs';

const options = optionsOf('Fine-tunes MiniLM on reviews.', {
  defaults: { epochs: 3, examples: 2400 },
  small: { epochs: 3, examples: 240 },
});
const maxLength = 32;
const names = ['input_ids', 'attention_mask', 'token_type_ids'];
const encode = textEncoder(bertTokenizer(), { maxLength, padId: 0, inputs: names });

function encoded(list) {
  const inputs = Object.fromEntries(names.map((name) => [name, zeros('int64', [list.length, maxLength])]));
  for (const [i, { text }] of list.entries()) {
    const example = encode({ text }, `review ${i}`);
    for (const name of names) inputs[name].data.set(example[name].data, i * maxLength);
  }
  return { inputs, labels: Int32Array.from(list, (each) => each.class) };
}

const imported = withFloatWeights(importOnnx(material('minilm-int8.onnx')));
const sized = withExampleInputs(
  imported,
  names.map((name) => ({ name, dtype: 'int64', shape: [maxLength] })),
);
const pooled = withMeanOfTokens(sized, { tokens: 'last_hidden_state', mask: 'attention_mask' });
const model = withHead(pooled, { features: 'mean of tokens', classes: 2, seed: options.seed, length: 384 });
const test = 300;
await fineTune({
  name: 'minilm',
  model,
  step: {
    trainable: { from: 'node_MatMul_385' },
    loss: 'softmax-cross-entropy',
    optimizer: { kind: 'adamw', weightDecay: 0.01, decayOn: 'matrices' },
    clipNorm: 1,
  },
  learning: {
    epochs: options.epochs,
    batchSize: 16,
    learningRate: 0.0005,
    schedule: { kind: 'cosine', warmupSteps: 5 },
  },
  examples: split(encoded(reviews()), { train: options.examples, test, seed: options.seed }),
  options,
});
