/** What all examples share: the command line, training of a tail on cached features or of a whole network, and the report. */
import { parseArgs } from 'node:util';

import { tensor } from '@graft/core/tensor';
import { cutAt } from '@graft/models/graph/cut';
import { onnxRuntime } from '@graft/models/runtime/onnxruntime.adapter';
import { sessionLowering } from '@graft/models/runtime/blocked-convolution.adapter';
import { train } from '@graft/models/training/training-session';

import { rowsOf } from './examples.mjs';

const evaluationRows = 32;

/** Reads the command line of an example; `defaults` are for people, `small` for a quick try. */
export function optionsOf(about, { defaults, small }) {
  const { values } = parseArgs({
    options: {
      small: { type: 'boolean', default: false },
      epochs: { type: 'string' },
      examples: { type: 'string' },
      seed: { type: 'string', default: '1' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    console.log(`${about}

Options:
  --small           few examples and epochs: some seconds
  --epochs <n>      default ${defaults.epochs}
  --examples <n>    to train on, default ${defaults.examples}
  --seed <n>        default 1
  --json            one line of JSON on stdout`);
    process.exit(0);
  }
  const chosen = { ...defaults, ...(values.small ? small : {}) };
  const number = (name, otherwise) => (values[name] === undefined ? otherwise : Number(values[name]));
  const options = {
    ...chosen,
    epochs: number('epochs', chosen.epochs),
    examples: number('examples', chosen.examples),
    seed: Number(values.seed),
    json: values.json,
  };
  for (const name of ['epochs', 'examples', 'seed']) {
    if (Number.isSafeInteger(options[name]) && options[name] >= 1) continue;
    console.error(`--${name} takes a whole number of at least 1`);
    process.exit(4);
  }
  return options;
}

/**
 * Trains `model` and prints how much better it answers than before.
 * @param task { name, model, cut, step, learning, examples: { train, test } }; with `cut` the part before that tensor is frozen, sees each example
 *   once, and what follows is trained on its features. Examples: { inputs, labels }, tensors by name of the model's inputs.
 */
export async function fineTune({ name, model, cut, step, learning, examples, options }) {
  const say = (line) => console.error(line);
  const begun = performance.now();
  let [trained, sets] = [model, examples];
  if (cut !== undefined) {
    const { trunk, tail } = cutAt(model, cut);
    sets = {
      train: await throughTrunk(trunk, cut, examples.train),
      test: await throughTrunk(trunk, cut, examples.test),
    };
    trained = tail;
    say(
      `${name}: the frozen part saw ${examples.train.labels.length} examples in ${seconds(performance.now() - begun)}`,
    );
  }
  const before = await accuracyOf(trained, sets.test);
  const { inputs, labels } = sets.train;
  const startedAt = performance.now();
  let shown = startedAt;
  const result = await train(
    {
      model: trained,
      step: { ...step, lowering: await sessionLowering() },
      examples: { inputs, targets: { labels: tensor('int32', [labels.length], labels) } },
      ...learning,
      seed: options.seed,
    },
    onnxRuntime,
    {
      betweenRuns: ({ step: done, steps, loss }) => {
        if (performance.now() - shown < 1000 && done < steps) return;
        shown = performance.now();
        const left = ((shown - startedAt) / done) * (steps - done);
        say(`${name}: step ${done} of ${steps}, loss ${loss.toFixed(3)}, ${seconds(left)} left`);
      },
    },
  );
  const trainMs = performance.now() - startedAt;
  const after = await accuracyOf({ ...trained, weights: new Map([...trained.weights, ...result.weights]) }, sets.test);
  const report = {
    example: name,
    examples: labels.length,
    heldOut: sets.test.labels.length,
    trainedTensors: result.weights.size,
    trainedParameters: [...result.weights.values()].reduce((sum, { data }) => sum + data.length, 0),
    steps: result.steps,
    initialLoss: result.initialLoss,
    loss: result.loss,
    accuracyBefore: before,
    accuracy: after,
    examplesPerSecond: (1000 * labels.length * learning.epochs) / trainMs,
    seconds: (performance.now() - begun) / 1000,
  };
  if (options.json) console.log(JSON.stringify(report));
  else {
    console.log(
      `${name}: ${report.trainedParameters} weights trained on ${report.examples} examples, ` +
        `${Math.round(report.examplesPerSecond)} examples a second; held out ${report.heldOut}: ` +
        `${percent(before)} right before, ${percent(after)} after`,
    );
  }
  return report;
}

const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;
const percent = (share) => `${(100 * share).toFixed(1)} %`;

async function throughTrunk(trunk, output, { inputs, labels }) {
  const session = await onnxRuntime.load(trunk, { threads: 1, purpose: 'inference' });
  const parts = [];
  for (let begin = 0; begin < labels.length; begin += evaluationRows) {
    const rows = Array.from({ length: Math.min(evaluationRows, labels.length - begin) }, (_, i) => begin + i);
    parts.push((await session.run(rowsOf(inputs, rows)))[output]);
  }
  await session.dispose();
  const [{ shape }] = parts;
  const data = new Float32Array(parts.reduce((sum, part) => sum + part.data.length, 0));
  let at = 0;
  for (const part of parts) {
    data.set(part.data, at);
    at += part.data.length;
  }
  return { inputs: { [output]: tensor('float32', [labels.length, ...shape.slice(1)], data) }, labels };
}

async function accuracyOf(model, { inputs, labels }) {
  const session = await onnxRuntime.load(model, { threads: 1, purpose: 'inference' });
  let right = 0;
  for (let begin = 0; begin < labels.length; begin += evaluationRows) {
    const rows = Array.from({ length: Math.min(evaluationRows, labels.length - begin) }, (_, i) => begin + i);
    const { logits } = await session.run(rowsOf(inputs, rows));
    const classes = logits.data.length / rows.length;
    for (const [i, row] of rows.entries()) {
      const scores = logits.data.subarray(i * classes, (i + 1) * classes);
      if (scores.indexOf(Math.max(...scores)) === labels[row]) right += 1;
    }
  }
  await session.dispose();
  return right / labels.length;
}
