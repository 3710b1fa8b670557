/**
 * What a round costs besides training: agents return base plus a constant. Real processes on loopback,
 * mutual TLS, sealing and the durable store on. Wall and CPU seconds a round over K rounds, first one included.
 * Peer: Flower 1.41 on two quiet cores, without TLS or encryption, recorded figures.
 */
import { parseArgs } from 'node:util';

import { openFederation } from './support/federation.mjs';
import { cpuSeconds, loopbackBytes, machine, peakBytes } from './support/processes.mjs';

const million = 1e6;
const flower = [
  { agents: 2, parameters: 0.25 * million, wallSeconds: 6.3, cpuSeconds: 3.9, part: 1 / 10 },
  { agents: 10, parameters: 0.25 * million, wallSeconds: 15.5, cpuSeconds: 21.7, part: 1 / 10 },
  { agents: 10, parameters: 2.5 * million, wallSeconds: 14.0, cpuSeconds: 24.2, part: 1 / 5 },
  { agents: 2, parameters: 25 * million, wallSeconds: 7.8, cpuSeconds: 10.8, part: 1 / 2 },
  { agents: 10, parameters: 25 * million, wallSeconds: 39.1, cpuSeconds: 63.8, part: 1 / 2 },
];

/** Bytes that the encodings imply: fp16 down to and fp32 up from every agent. */
const impliedBytes = (agents, parameters) => agents * parameters * (2 + 4);

async function measure({ agents, parameters, rounds }) {
  const federation = await openFederation('overhead');
  try {
    for (let index = 0; index < agents; index++) await federation.addAgent(`site-${index + 1}`);
    await federation.untilConnected(agents);
    const task = await federation.call('POST', '/tasks', {
      name: 'rehearsal',
      kind: 'probe',
      parameters,
      add: 0.001,
      rounds,
      cohort: { min: agents, goal: agents, max: agents },
      windowMs: 300_000,
    });
    const processes = [federation.coordinator.pid, ...federation.agents.map(({ pid }) => pid)];
    const before = { cpu: cpuSeconds(processes), wire: loopbackBytes(), at: performance.now() };
    const { id } = await federation.call('POST', '/runs', { taskId: task.id, seed: 1, rounds });
    const run = await federation.untilOver(id);
    const wall = (performance.now() - before.at) / 1000;
    if (run.status !== 'completed') throw new Error(`the run ended as ${run.status}: ${run.reason}`);
    const system = await federation.call('GET', '/system');
    const peer = flower.find((row) => row.agents === agents && row.parameters === parameters);
    const wallSecondsPerRound = wall / rounds;
    const cpuSecondsPerRound = (cpuSeconds(processes) - before.cpu) / rounds;
    const wireBytesPerRound = (loopbackBytes() - before.wire) / rounds;
    return {
      bench: 'overhead',
      agents,
      parameters,
      rounds,
      wallSecondsPerRound,
      cpuSecondsPerRound,
      coordinatorPeakBytes: peakBytes(federation.coordinator.pid),
      wireBytesPerRound,
      wireRatio: wireBytesPerRound / impliedBytes(agents, parameters),
      eventLoopDelayP99Ms: system.eventLoopDelayP99Ms,
      ...(peer && {
        peer: 'Flower 1.41, recorded, no TLS',
        peerWallSeconds: peer.wallSeconds,
        peerCpuSeconds: peer.cpuSeconds,
        wallRatio: wallSecondsPerRound / peer.wallSeconds,
        cpuRatio: cpuSecondsPerRound / peer.cpuSeconds,
        goal: peer.part,
      }),
      machine: machine(),
    };
  } finally {
    await federation.close();
  }
}

export async function run(args) {
  const { values } = parseArgs({
    args,
    options: { agents: { type: 'string' }, parameters: { type: 'string' }, rounds: { type: 'string', default: '10' } },
  });
  const rounds = Number(values.rounds);
  const cases =
    values.agents === undefined && values.parameters === undefined
      ? flower.map(({ agents, parameters }) => ({ agents, parameters, rounds }))
      : [{ agents: Number(values.agents ?? 2), parameters: Number(values.parameters ?? 250_000), rounds }];
  for (const one of cases) console.log(JSON.stringify(await measure(one)));
}
