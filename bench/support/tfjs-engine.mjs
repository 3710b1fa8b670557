/**
 * The second runtime beside: the same job on tfjs, on the fastest backend that works here: tfjs-engine.mjs FOLDER NET SEED
 * Weights and state stay on the device between steps. GRAFT_TENSORFLOW_DIR names a folder whose node_modules is searched first.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { tensor } from '@graft/core/tensor';
import { openTfjs } from '@graft/models/runtime/tfjs/tfjs.adapter';
import { buildTrainingStep } from '@graft/models/training/build-training-step';
import { stepScalars } from '@graft/models/training/optimizers/step-scalars';
import { StateBuffers } from '@graft/models/training/state-buffers';

import { readBatches } from './training-job.mjs';
import { partsOf, trainingNets } from './training-nets.mjs';

const [, , folder, name, seed] = process.argv;
const job = JSON.parse(readFileSync(join(folder, 'job.json'), 'utf8'));
const { trained, trunk } = partsOf(trainingNets[name], Number(seed));
const data = readBatches(folder, job);
const from = process.env.GRAFT_TENSORFLOW_DIR;
const runtime = await openTfjs(from === undefined ? {} : { from });
const input = trained.graph.inputs[0];
const step = buildTrainingStep(trained, {
  trainable: job.trainable,
  loss: 'softmax-cross-entropy',
  optimizer: job.optimizer,
  inputShapes: { [input.name]: [data[0].labels.shape[0], ...input.shape.slice(1)] },
  ...(job.batchNorm !== null && { batchNorm: job.batchNorm }),
});
const options = { threads: job.threads, purpose: 'training' };
const session = await runtime.load(step, options);
const trunkSession = trunk && (await runtime.load(trunk, { ...options, purpose: 'inference' }));

/** Steps from the start, one a call; it gives the loss. */
function training() {
  let state = new StateBuffers(step, trained.weights).feeds();
  let count = 0;
  return async () => {
    const { features, labels } = data[count % data.length];
    count++;
    const scalars = Object.entries(stepScalars(step.optimizer, job.optimizer.learningRate, count)).flatMap(
      ([role, value]) =>
        step.scalars[role] === undefined ? [] : [[step.scalars[role], tensor('float32', [], Float32Array.of(value))]],
    );
    const made = await trunkSession?.runOnDevice({ [trunk.graph.inputs[0].name]: features });
    const x = made === undefined ? features : made[input.name];
    const feeds = { ...state, [input.name]: x, [step.targets[0].name]: labels, ...Object.fromEntries(scalars) };
    const outputs = await session.runOnDevice(feeds);
    const slots = [...step.weightSlots.values(), ...step.stateSlots, ...step.statisticSlots.values()];
    for (const value of [...Object.values(state), ...Object.values(made ?? {})]) value.dispose?.();
    state = Object.fromEntries(slots.map(({ input: name, output }) => [name, outputs[output]]));
    const loss = (await outputs[step.loss].read()).data[0];
    outputs[step.loss].dispose();
    return loss;
  };
}

async function timed({ together, samples }) {
  const next = training();
  const [ms, cpuMs] = [[], []];
  for (let i = 0; i < samples; i++) {
    const [begin, cpu] = [performance.now(), process.cpuUsage()];
    for (let k = 0; k < together; k++) await next();
    const { user, system } = process.cpuUsage(cpu);
    cpuMs.push((user + system) / 1000 / together);
    ms.push((performance.now() - begin) / together);
  }
  return { ms, cpuMs };
}

await training()();
console.log(JSON.stringify({ backend: runtime.backend, about: runtime.choice.about }));
for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await timed(JSON.parse(line))));
}
