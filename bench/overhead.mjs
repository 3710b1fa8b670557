/**
 * What a round costs besides training: agents return base plus a constant. Real processes on loopback,
 * mutual TLS, sealing and the durable store on. Wall and CPU seconds a round over K rounds, first one included.
 * Peer: Flower 1.41 without TLS or encryption, in the same run where a Python has it (GRAFT_FLOWER_PYTHON, or python3),
 * and its figures recorded on two quiet cores. Floor: the same bytes over node:http2 alone.
 */
import { parseArgs } from 'node:util';

import { openFederation } from './support/federation.mjs';
import { flowerOf } from './support/flower/flower-processes.mjs';
import { measureFlower } from './support/flower/measure-flower.mjs';
import { cpuSeconds, loopbackBytes, machine, peakBytes } from './support/processes.mjs';
import { measureFloor } from './support/transport-floor.mjs';

const million = 1e6;
const flower = [
  { agents: 2, parameters: 0.25 * million, wallSeconds: 6.3, cpuSeconds: 3.9, part: 1 / 20 },
  { agents: 10, parameters: 0.25 * million, wallSeconds: 15.5, cpuSeconds: 21.7, part: 1 / 20 },
  { agents: 10, parameters: 2.5 * million, wallSeconds: 14.0, cpuSeconds: 24.2, part: 1 / 10 },
  { agents: 2, parameters: 25 * million, wallSeconds: 7.8, cpuSeconds: 10.8, part: 1 / 4 },
  { agents: 10, parameters: 25 * million, wallSeconds: 39.1, cpuSeconds: 63.8, part: 1 / 4 },
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
    };
  } finally {
    await federation.close();
  }
}

/** The peer's figures beside ours: of the same run, and recorded; the goal holds for either. */
async function peerOf(ours, { peer, peerRounds }) {
  const { agents, parameters, wallSecondsPerRound, cpuSecondsPerRound } = ours;
  const recorded = flower.find((row) => row.agents === agents && row.parameters === parameters);
  const found = peer === 'auto' ? flowerOf() : undefined;
  const fields = { peer: 'none' };
  if (found !== undefined) {
    const measured = await measureFlower(found, { agents, parameters, rounds: peerRounds });
    Object.assign(fields, {
      peer: `Flower ${found.version}, same run, no TLS`,
      peerRounds,
      peerWallSeconds: measured.wallSeconds,
      peerCpuSeconds: measured.cpuSeconds,
      peerWallSecondsFromRun: measured.wallSecondsFromRun,
      wallRatio: wallSecondsPerRound / measured.wallSeconds,
      cpuRatio: cpuSecondsPerRound / measured.cpuSeconds,
    });
  }
  if (recorded !== undefined && peer !== 'none') {
    if (found === undefined) fields.peer = 'Flower 1.41, recorded figures, no TLS';
    Object.assign(fields, {
      recordedPeerWallSeconds: recorded.wallSeconds,
      recordedPeerCpuSeconds: recorded.cpuSeconds,
      recordedWallRatio: wallSecondsPerRound / recorded.wallSeconds,
      recordedCpuRatio: cpuSecondsPerRound / recorded.cpuSeconds,
      goal: recorded.part,
    });
  }
  return fields;
}

export async function run(args) {
  const { values } = parseArgs({
    args,
    options: {
      agents: { type: 'string' },
      parameters: { type: 'string' },
      rounds: { type: 'string', default: '10' },
      peer: { type: 'string', default: 'auto' },
      'peer-rounds': { type: 'string', default: '3' },
    },
  });
  if (!['auto', 'recorded', 'none'].includes(values.peer))
    throw new Error(`--peer is ${values.peer}, not auto, recorded or none`);
  const rounds = Number(values.rounds);
  const cases =
    values.agents === undefined && values.parameters === undefined
      ? flower.map(({ agents, parameters }) => ({ agents, parameters, rounds }))
      : [{ agents: Number(values.agents ?? 2), parameters: Number(values.parameters ?? 250_000), rounds }];
  for (const one of cases) {
    const ours = await measure(one);
    const peer = await peerOf(ours, { peer: values.peer, peerRounds: Number(values['peer-rounds']) });
    console.log(JSON.stringify({ ...ours, ...peer, ...(await measureFloor(one)), machine: machine() }));
  }
}
