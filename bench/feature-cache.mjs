/**
 * Fine-tuning the last block and the head over many epochs: graft computes the frozen trunk once for each example and keeps its
 * features in memory, PyTorch computes the trunk in every epoch, as a training loop without a cache does.
 * Batches and steps are timed and scaled to the whole job, which the line says; nothing else is left out on either side.
 */
import { rmSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { endEngines, startEngines } from './support/engine-process.mjs';
import { least, machine, median } from './support/processes.mjs';
import { writeJob } from './support/training-job.mjs';
import { cachedNets } from './support/training-nets.mjs';

const seed = 7;
const batchSize = 32;

/** Both engines in turn, so that both see the same machine. */
async function timesOf({ graft, eager }, { blocks, steps }) {
  const times = { trunk: [], tail: [], torch: [] };
  for (let block = 0; block < blocks; block++) {
    const { trunk, tail } = await graft.ask({ do: 'cached', together: 1, samples: 3 * steps });
    const torch = await eager?.ask({ do: 'steps', together: 1, samples: steps });
    times.trunk.push(...trunk.cpuMs);
    times.tail.push(...tail.cpuMs);
    times.torch.push(...(torch?.cpuMs ?? []));
  }
  return times;
}

/** CPU milliseconds of the whole job, by the least or the median of what was timed. */
function totals({ trunk, tail, torch }, { examples, epochs }, pick) {
  const batches = examples / batchSize;
  const graft = batches * pick(trunk) + epochs * batches * pick(tail);
  const peer = torch.length === 0 ? undefined : epochs * batches * pick(torch);
  return { graftCpuMs: graft, torchCpuMs: peer, ratio: peer === undefined ? undefined : peer / graft };
}

async function measure(name, options) {
  const { threads, examples, epochs } = options;
  const net = cachedNets[name];
  const folder = writeJob(net, { batchSize, batches: 2, seed, threads });
  try {
    const engines = await startEngines(name, folder, { seed, threads, modes: [] });
    const times = await timesOf(engines, options);
    await endEngines(engines);
    const { ratio, graftCpuMs, torchCpuMs } = totals(times, options, least);
    return {
      bench: 'feature-cache',
      net: name,
      threads,
      examples,
      epochs,
      ratio,
      ratioOfMedians: totals(times, options, median).ratio,
      goal: { ratio: net.goal },
      graftCpuMs,
      torchCpuMs,
      trunkCpuMsPerBatch: least(times.trunk),
      tailCpuMsPerStep: least(times.tail),
      torchCpuMsPerStep: times.torch.length === 0 ? undefined : least(times.torch),
      scaled: `from ${times.trunk.length} batches of the trunk, ${times.tail.length} steps of the tail and ${times.torch.length} steps of PyTorch`,
      peer:
        engines.eager && `PyTorch ${engines.eager.ready.torch}, eager, trunk without gradients, recomputed every epoch`,
      machine: machine(),
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export async function run(args) {
  const { values } = parseArgs({
    args,
    options: {
      net: { type: 'string', multiple: true },
      threads: { type: 'string', default: '1' },
      examples: { type: 'string', default: '500' },
      epochs: { type: 'string', default: '20' },
      blocks: { type: 'string', default: '3' },
      steps: { type: 'string', default: '2' },
    },
  });
  const { net, ...numbers } = values;
  const options = Object.fromEntries(Object.entries(numbers).map(([key, value]) => [key, Number(value)]));
  for (const name of net ?? Object.keys(cachedNets)) {
    if (!Object.hasOwn(cachedNets, name))
      throw new Error(`no net '${name}'; one of ${Object.keys(cachedNets).join(', ')}`);
    console.log(JSON.stringify(await measure(name, options)));
  }
}
