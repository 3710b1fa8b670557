/**
 * Training of whole networks: CPU and wall time of a step on one and two threads, against PyTorch's eager mode and its best one.
 * Each engine is a process of its own with the same weights and batches; blocks of steps of all alternate. What counts is the
 * least of each, medians stand beside. Gradients and the weights after 20 steps are compared with PyTorch in float64.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { endEngines, startEngines } from './support/engine-process.mjs';
import { least, machine, median } from './support/processes.mjs';
import { writeJob } from './support/training-job.mjs';
import { trainingNets } from './support/training-nets.mjs';
import { demoNets, runDemo } from './train-demo.mjs';

const seed = 7;
const checkedSteps = 20;

/** torch.compile needs a C++ compiler and minutes; where either lacks, the mode is left out and named. */
const modesOf = (net) => [
  'fused',
  ...(net.torch.net.includes('transformer') || net.torch.net === 'dense head' ? [] : ['channels_last']),
  'compile',
];

/** Times of each engine over `blocks` rounds in turn. */
async function timesOf(engines, { together, samples }, blocks) {
  const running = Object.entries(engines).filter(([, engine]) => engine !== undefined);
  const times = Object.fromEntries(running.map(([mode]) => [mode, { ms: [], cpuMs: [] }]));
  for (let block = 0; block < blocks; block++) {
    for (const [mode, engine] of running) {
      const { ms, cpuMs } = await engine.ask({ do: 'steps', together, samples });
      times[mode].ms.push(...ms);
      times[mode].cpuMs.push(...cpuMs);
    }
  }
  return Object.fromEntries(
    Object.entries(times).map(([mode, { ms, cpuMs }]) => [
      mode,
      {
        cpuMsPerStep: least(cpuMs),
        wallMsPerStep: least(ms),
        medianCpuMs: median(cpuMs),
        medianWallMs: median(ms),
      },
    ]),
  );
}

/** What PyTorch says of graft's gradients and of its weights after some steps. */
async function exactnessOf({ graft, eager }, folder) {
  const file = join(folder, 'graft.bin');
  const { losses, movedError } = await graft.ask({ do: 'check', file, steps: checkedSteps });
  const { losses: reference, torchLosses, ...errors } = await eager.ask({ do: 'check', file, steps: checkedSteps });
  const difference = (found) => Math.max(...found.map((loss, i) => Math.abs(loss - reference[i]) / reference[i]));
  return {
    ...errors,
    movedStepsError: movedError,
    lossErrorMax: difference(losses),
    torchLossErrorMax: difference(torchLosses),
  };
}

function comparison(times, threads, goals) {
  const { graft, eager } = times;
  const others = Object.fromEntries(
    Object.entries(times).filter(([mode]) => !['graft', 'eager', 'tfjs'].includes(mode)),
  );
  const key = threads === 1 ? 'cpuMsPerStep' : 'wallMsPerStep';
  const [bestMode] = Object.keys({ eager, ...others }).toSorted((a, b) => times[a][key] - times[b][key]);
  return {
    torch: { ...eager, bestMode, best: times[bestMode], modes: others },
    ratioCpu: graft.cpuMsPerStep / eager.cpuMsPerStep,
    ratioWall: graft.wallMsPerStep / eager.wallMsPerStep,
    ratioMedianCpu: graft.medianCpuMs / eager.medianCpuMs,
    ratioMedianWall: graft.medianWallMs / eager.medianWallMs,
    ratioBest: graft[key] / times[bestMode][key],
    goal: threads === 1 ? { ratioCpu: goals.cpu } : { ratioWall: goals.wall },
  };
}

async function measure(name, { threads, blocks, modes, loop, timesOnly, tfjs }) {
  const net = trainingNets[name];
  const folder = writeJob(net, { batchSize: 32, batches: 4, seed, threads });
  try {
    const engines = await startEngines(name, folder, {
      seed,
      threads,
      modes: modes ?? modesOf(net),
      loop: loop ?? net.loop ?? 1,
      tfjs,
    });
    const times = await timesOf(engines, net, blocks);
    const { graft, eager } = engines;
    const peak = async (engine) => (await engine.ask({ do: 'peak' })).peakBytes;
    const peaks = { peakBytes: await peak(graft), torchPeakBytes: eager && (await peak(eager)) };
    const exactness = timesOnly || eager === undefined ? {} : await exactnessOf(engines, folder);
    await endEngines(engines);
    const { nodes, buildMs, sessionMs, bareBytes } = graft.ready;
    return {
      bench: 'train',
      net: name,
      threads,
      ...times.graft,
      ...(eager === undefined
        ? { note: 'no PyTorch: python3 (or GRAFT_PYTHON) has no module torch' }
        : comparison(times, threads, net.goals)),
      tfjs: engines.tfjs && { backend: engines.tfjs.ready.backend, about: engines.tfjs.ready.about, ...times.tfjs },
      ...exactness,
      ...peaks,
      bareBytes,
      torchBareBytes: eager?.ready.bareBytes,
      buildMs,
      sessionMs,
      nodes,
      stepsPerRun: Number(loop ?? net.loop ?? 1),
      notRun: Object.keys(engines).filter((mode) => engines[mode] === undefined),
      peer: eager && `PyTorch ${eager.ready.torch}, eager, ${threads} thread(s)`,
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
      threads: { type: 'string', multiple: true, default: ['1', '2'] },
      blocks: { type: 'string', default: '5' },
      modes: { type: 'string' },
      loop: { type: 'string' },
      'times-only': { type: 'boolean', default: false },
      tfjs: { type: 'boolean', default: false },
      batch: { type: 'string', default: '32' },
    },
  });
  const known = [...Object.keys(trainingNets), ...demoNets];
  const blocks = Number(values.blocks);
  for (const net of values.net ?? known) {
    if (!known.includes(net)) throw new Error(`no net '${net}'; one of ${known.join(', ')}`);
    if (demoNets.includes(net)) {
      await runDemo(net, { batchSize: Number(values.batch), repeats: blocks });
      continue;
    }
    const modes = values.modes?.split(',').filter((mode) => mode !== '');
    for (const threads of values.threads.map(Number)) {
      console.log(
        JSON.stringify(
          await measure(net, {
            threads,
            blocks,
            modes,
            loop: values.loop,
            timesOnly: values['times-only'],
            tfjs: values.tfjs,
          }),
        ),
      );
    }
  }
}
