/**
 * graft's side of the training measurements, a process of its own: training-engine.mjs FOLDER NET SEED TOGETHER
 * Answers one JSON line to each line of stdin, as torch_engine.py does; "check" writes what PyTorch is to compare.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { tensor } from '@graft/core/tensor';
import { sessionLowering } from '@graft/models/runtime/blocked-convolution.adapter';
import { onnxRuntime } from '@graft/models/runtime/onnxruntime.adapter';
import { buildTrainingStep } from '@graft/models/training/build-training-step';
import { loopOf } from '@graft/models/training/loop';
import { stepScalars } from '@graft/models/training/optimizers/step-scalars';
import { StateBuffers } from '@graft/models/training/state-buffers';

import { peakBytes } from './processes.mjs';
import { readBatches } from './training-job.mjs';
import { cachedNets, partsOf, trainingNets } from './training-nets.mjs';

const [, , folder, name, seed, together] = process.argv;
const net = { ...trainingNets, ...cachedNets }[name];
const job = JSON.parse(readFileSync(join(folder, 'job.json'), 'utf8'));

/** What trains: a session of the step (of `together` steps in a loop), one of the trunk where there is a cut. */
async function loadTraining(parts, optimizer, together) {
  const begin = performance.now();
  const shape = parts.trained.graph.inputs[0];
  const single = buildTrainingStep(parts.trained, {
    trainable: job.trainable,
    loss: 'softmax-cross-entropy',
    optimizer,
    lowering: await sessionLowering(),
    inputShapes: { [shape.name]: [batchSize, ...shape.shape.slice(1)] },
    ...(job.batchNorm !== null && { batchNorm: job.batchNorm }),
  });
  const step = together > 1 ? loopOf(single) : single;
  const built = performance.now();
  const session = await onnxRuntime.load(step, { threads: job.threads, purpose: 'training' });
  const trunk = parts.trunk && (await onnxRuntime.load(parts.trunk, { threads: job.threads, purpose: 'inference' }));
  const times = { buildMs: built - begin, sessionMs: performance.now() - built };
  return { parts, step, session, trunk, together, nodes: single.graph.nodes.length, ...times };
}

/** One training from the start: each call of `next` is a run, of one step or of `together`; it gives the last loss. */
function trainingOf({ parts, step, session, trunk, together }, data, rate, first = parts.trained.weights) {
  const state = new StateBuffers(step, first);
  const gather = gathererOf(data, together);
  let count = 0;
  const next = async () => {
    const { features, labels } = gather(count);
    const numbers = Array.from({ length: together }, (_, i) => stepScalars(step.optimizer, rate, count + i + 1));
    count += together;
    const scalars = Object.entries(step.scalars).map(([role, name]) => [
      name,
      tensor(
        'float32',
        together > 1 ? [together] : [],
        Float32Array.from(numbers, (each) => each[role]),
      ),
    ]);
    const x = trunk
      ? (await trunk.run({ [parts.trunk.graph.inputs[0].name]: features }))[step.inputs[0].name]
      : features;
    const fetches = await session.run(
      {
        ...state.feeds(),
        [step.inputs[0].name]: x,
        [step.targets[0].name]: labels,
        ...Object.fromEntries(scalars),
      },
      state.into(),
    );
    state.advance();
    return [...fetches[step.loss].data];
  };
  return { next, state };
}

/** The batches from number `first` on, copied to the same memory every time, as a training copies the rows of its examples. */
function gathererOf(data, together) {
  const [{ features, labels }] = data;
  const axis = together > 1 ? [together] : [];
  const x = tensor('float32', [...axis, ...features.shape], new Float32Array(together * features.data.length));
  const y = tensor('int32', [...axis, ...labels.shape], new Int32Array(together * labels.data.length));
  return (first) => {
    for (let i = 0; i < together; i++) {
      const batch = data[(first + i) % data.length];
      x.data.set(batch.features.data, i * features.data.length);
      y.data.set(batch.labels.data, i * labels.data.length);
    }
    return { features: x, labels: y };
  };
}

/** The trunk's features of each batch, computed once, and the time that each took. */
async function featuresOf({ parts, trunk, step }, data) {
  const [ms, cpuMs, cached] = [[], [], []];
  for (const { features, labels } of data) {
    const [begin, cpu] = [performance.now(), process.cpuUsage()];
    const fetches = await trunk.run({ [parts.trunk.graph.inputs[0].name]: features });
    cached.push({ features: fetches[step.inputs[0].name], labels });
    const { user, system } = process.cpuUsage(cpu);
    cpuMs.push((user + system) / 1000);
    ms.push(performance.now() - begin);
  }
  return { times: { ms, cpuMs }, cached };
}

/** Times of the trunk over every batch, and of steps of the tail on what it gave. */
async function timedCached(training, data, command) {
  const { times, cached } = await featuresOf(training, data);
  return { trunk: times, tail: await timed({ ...training, trunk: undefined }, cached, command) };
}

/** Times of `samples` stretches of `steps` steps, each in one run or several. */
async function timed(training, data, { together: steps, samples }) {
  const { next } = trainingOf(training, data, job.optimizer.learningRate);
  const [ms, cpuMs] = [[], []];
  let losses = [];
  for (let i = 0; i < samples; i++) {
    const [begin, cpu] = [performance.now(), process.cpuUsage()];
    for (let done = 0; done < steps; done += training.together) losses = await next();
    const { user, system } = process.cpuUsage(cpu);
    cpuMs.push((user + system) / 1000 / steps);
    ms.push((performance.now() - begin) / steps);
  }
  return { ms, cpuMs, loss: losses.at(-1) };
}

/** Gradient descent so long that the new weights are the gradients, times -rate, to their last digits. */
const longRate = 2 ** 30;

async function gradientsOf(parts, data) {
  const training = await loadTraining(parts, { kind: 'sgd' }, 1);
  const { next, state } = trainingOf(training, data, longRate);
  await next();
  await Promise.all([training.session.dispose(), training.trunk?.dispose()]);
  const after = state.values();
  return job.trainable.map((key) => {
    const before = parts.trained.weights.get(key).data;
    return Float32Array.from(after.get(key).data, (value, i) => (before[i] - value) / longRate);
  });
}

/** Writes the gradients of the first batch, then the weights after some steps, of each trained tensor. */
async function check(training, data, { file, steps }) {
  const { next, state } = trainingOf(training, data, job.optimizer.learningRate);
  const losses = [];
  while (losses.length < steps) losses.push(...(await next()));
  const weights = state.values();
  const movedError = await movedStepsError(training, data, { weights, steps });
  const parts = [...(await gradientsOf(training.parts, data)), ...job.trainable.map((key) => weights.get(key).data)];
  writeFileSync(
    file,
    Buffer.concat(parts.map(({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength))),
  );
  return { losses, movedError };
}

/** How far the same steps end from each other when the first weights are moved by a unit in their last place: 0 where rounding is forgotten. */
async function movedStepsError(training, data, { weights, steps }) {
  const moved = new Map(
    [...training.parts.trained.weights].map(([key, value]) => [
      key,
      value.dtype === 'float32'
        ? { ...value, data: value.data.map((each, i) => each * (1 + lastPlace * (i % 2))) }
        : value,
    ]),
  );
  const { next, state } = trainingOf(training, data, job.optimizer.learningRate, moved);
  for (let done = 0; done < steps; done += training.together) await next();
  const after = state.values();
  let [difference, all] = [0, 0];
  for (const key of job.trainable) {
    for (const [i, value] of weights.get(key).data.entries()) {
      difference += (value - after.get(key).data[i]) ** 2;
      all += value ** 2;
    }
  }
  return Math.sqrt(difference / all);
}

const lastPlace = 2 ** -23;

const bareBytes = peakBytes(process.pid);
const data = readBatches(folder, job);
const batchSize = data[0].labels.shape[0];
const training = await loadTraining(partsOf(net, Number(seed)), job.optimizer, Number(together));
await trainingOf(training, data, job.optimizer.learningRate).next();
const { buildMs, sessionMs, nodes } = training;
console.log(JSON.stringify({ buildMs, sessionMs, nodes, bareBytes }));
const answers = {
  steps: (command) => timed(training, data, command),
  cached: (command) => timedCached(training, data, command),
  peak: () => ({ peakBytes: peakBytes(process.pid) }),
  check: (command) => check(training, data, command),
};
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  console.log(JSON.stringify(await answers[command.do](command)));
}
