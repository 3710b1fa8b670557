/**
 * graft's side of the training measurements, a process of its own: training-engine.mjs FOLDER NET SEED
 * Answers one JSON line to each line of stdin, as torch_engine.py does; "check" writes what PyTorch is to compare.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { elementCount, tensor, tensorFromBytes } from '@graft/core/tensor';
import { onnxRuntime } from '@graft/models/runtime/onnxruntime.adapter';
import { buildTrainingStep } from '@graft/models/training/build-training-step';
import { stepScalars } from '@graft/models/training/optimizers/step-scalars';
import { StateBuffers } from '@graft/models/training/state-buffers';

import { peakBytes } from './processes.mjs';
import { cachedNets, partsOf, trainingNets } from './training-nets.mjs';

const [, , folder, name, seed] = process.argv;
const net = { ...trainingNets, ...cachedNets }[name];
const job = JSON.parse(readFileSync(join(folder, 'job.json'), 'utf8'));

const scalar = (value) => tensor('float32', [], Float32Array.of(value));

function batches() {
  const raw = readFileSync(join(folder, 'job.bin'));
  const read = (key) => {
    const { dtype, shape, offset } = job.tensors[key];
    return tensorFromBytes(dtype, shape, raw.subarray(offset, offset + 4 * elementCount(shape)));
  };
  return Array.from({ length: job.batches }, (_, i) => ({
    features: read(`batch/${i}/features`),
    labels: read(`batch/${i}/labels`),
  }));
}

/** What trains: a session of the step, one of the trunk where there is a cut, and the job's batches. */
async function loadTraining(parts, optimizer) {
  const begin = performance.now();
  const shape = parts.trained.graph.inputs[0];
  const step = buildTrainingStep(parts.trained, {
    trainable: job.trainable,
    loss: 'softmax-cross-entropy',
    optimizer,
    inputShapes: { [shape.name]: [job.tensors['batch/0/labels'].shape[0], ...shape.shape.slice(1)] },
    ...(job.batchNorm !== null && { batchNorm: job.batchNorm }),
  });
  const built = performance.now();
  const session = await onnxRuntime.load(step, { threads: job.threads, purpose: 'training' });
  const trunk = parts.trunk && (await onnxRuntime.load(parts.trunk, { threads: job.threads, purpose: 'inference' }));
  return { parts, step, session, trunk, buildMs: built - begin, sessionMs: performance.now() - built };
}

/** One training from the start: each call of `next` is a step. */
function trainingOf({ parts, step, session, trunk }, data, rate) {
  const state = new StateBuffers(step, parts.trained.weights);
  const { features, labels } = { features: step.inputs[0].name, labels: step.targets[0].name };
  let count = 0;
  const next = async () => {
    const batch = data[count % data.length];
    count++;
    const scalars = Object.entries(stepScalars(step.optimizer, rate, count)).flatMap(([role, value]) =>
      step.scalars[role] === undefined ? [] : [[step.scalars[role], scalar(value)]],
    );
    const x = trunk
      ? (await trunk.run({ [parts.trunk.graph.inputs[0].name]: batch.features }))[features]
      : batch.features;
    const fetches = await session.run(
      { ...state.feeds(), [features]: x, [labels]: batch.labels, ...Object.fromEntries(scalars) },
      state.into(),
    );
    state.advance();
    return fetches[step.loss].data[0];
  };
  return { next, state };
}

async function timed(training, data, { together, samples }) {
  const { next } = trainingOf(training, data, job.optimizer.learningRate);
  const [ms, cpuMs] = [[], []];
  let loss = NaN;
  for (let i = 0; i < samples; i++) {
    const [begin, cpu] = [performance.now(), process.cpuUsage()];
    for (let k = 0; k < together; k++) loss = await next();
    const { user, system } = process.cpuUsage(cpu);
    cpuMs.push((user + system) / 1000 / together);
    ms.push((performance.now() - begin) / together);
  }
  return { ms, cpuMs, loss };
}

/** Gradient descent so long that the new weights are the gradients, times -rate, to their last digits. */
const longRate = 2 ** 30;

async function gradientsOf(parts, data) {
  const training = await loadTraining(parts, { kind: 'sgd' });
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
  for (let i = 0; i < steps; i++) losses.push(await next());
  const weights = state.values();
  const parts = [...(await gradientsOf(training.parts, data)), ...job.trainable.map((key) => weights.get(key).data)];
  writeFileSync(
    file,
    Buffer.concat(parts.map(({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength))),
  );
  return { losses };
}

const bareBytes = peakBytes(process.pid);
const data = batches();
const training = await loadTraining(partsOf(net, Number(seed)), job.optimizer);
await trainingOf(training, data, job.optimizer.learningRate).next();
const { buildMs, sessionMs, step } = training;
console.log(JSON.stringify({ buildMs, sessionMs, nodes: step.graph.nodes.length, bareBytes }));
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  const answer =
    command.do === 'steps'
      ? await timed(training, data, command)
      : command.do === 'peak'
        ? { peakBytes: peakBytes(process.pid) }
        : await check(training, data, command);
  console.log(JSON.stringify(answer));
}
