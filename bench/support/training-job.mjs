/** A training job as a folder that both engines read: job.json, and job.bin with weights and batches. */
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { random } from '@graft/core/random';
import { bytesOf, elementCount, tensor, tensorFromBytes } from '@graft/core/tensor';

import { partsOf, trainableOf } from './training-nets.mjs';

/** Batches of seeded noise in the shape of the model's input, and labels of its classes. */
export function batchesOf({ inputs, classes, count, batchSize, seed }) {
  const stream = random(seed);
  const shape = [batchSize, ...inputs[0].shape.slice(1)];
  return Array.from({ length: count }, () => ({
    features: tensor(
      'float32',
      shape,
      Float32Array.from({ length: elementCount(shape) }, () => stream.normal()),
    ),
    labels: tensor(
      'int32',
      [batchSize],
      Int32Array.from({ length: batchSize }, () => stream.below(classes)),
    ),
  }));
}

/** Writes the job of a net and returns its folder. */
export function writeJob(net, { batchSize, batches, seed, threads }) {
  const model = net.model(seed);
  const { trained } = partsOf(net, seed);
  const data = batchesOf({ inputs: model.graph.inputs, classes: 10, count: batches, batchSize, seed: seed + 1 });
  const named = [
    ...[...model.weights].filter(([name]) => !name.includes('/')),
    ...data.flatMap(({ features, labels }, i) => [
      [`batch/${i}/features`, features],
      [`batch/${i}/labels`, labels],
    ]),
  ];
  const folder = mkdtempSync(join(tmpdir(), 'graft-bench-'));
  const tensors = {};
  const parts = [];
  let offset = 0;
  for (const [name, value] of named) {
    const bytes = bytesOf(value);
    tensors[name] = { dtype: value.dtype, shape: value.shape, offset };
    parts.push(bytes);
    offset += bytes.length;
  }
  writeFileSync(join(folder, 'job.bin'), Buffer.concat(parts));
  const { torch, optimizer, batchNorm } = net;
  const job = {
    torch,
    optimizer,
    batchNorm: batchNorm ?? null,
    trainable: trainableOf(trained),
    batches,
    threads,
    tensors,
  };
  writeFileSync(join(folder, 'job.json'), JSON.stringify(job));
  return folder;
}

/** The batches of a job's folder. */
export function readBatches(folder, job) {
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
