/**
 * A thousand connected agents, two hundred of them reporting each round, against one coordinator process: all on loopback,
 * over mutual TLS, every agent enrolled with keys of its own, every update sealed, the durable store on.
 * What is counted: rounds a minute, the coordinator's CPU and memory, how late its event loop turned as it says itself,
 * reports that it accepted and lost, and rounds whose weights are not the mean of what was accepted.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { decodeSafetensors } from '@graft/models/formats/safetensors';

import { openFederation } from './support/federation.mjs';
import { cpuSeconds, loopbackBytes, machine, median, peakBytes, treeOf } from './support/processes.mjs';
import { openDoor } from './support/source-addresses.mjs';
import { openSwarm } from './support/swarm-agents.mjs';

/** What the measures of this project allow. */
const limits = { coordinatorPeakBytes: 600e6, eventLoopDelayP99Ms: 50 };

/** What agent number i adds to every parameter: exact in float32, and so are the sums of a cohort. */
const valueOf = (index) => ((index % 512) + 1) / 1024;

const quantile = (values, q) =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))];

/** Rounds whose weights are not the base plus the mean of the accepted values, and reports that were accepted and are not in a round. */
async function verify(federation, runId, { answers, values }) {
  const checkpoints = await federation.call('GET', `/runs/${runId}/checkpoints`);
  const rounds = await federation.call('GET', `/runs/${runId}/rounds`);
  let weight = 0;
  let wrongSums = 0;
  let reportsLost = 0;
  for (const { round, record } of rounds) {
    const counted = Object.entries(record.agents).flatMap(([id, { state }]) => (state === 'accepted' ? [id] : []));
    const told = answers.filter((one) => one.round === round && one.verdict.accepted).map(({ agentId }) => agentId);
    reportsLost += told.filter((id) => !counted.includes(id)).length;
    const hash = checkpoints.find((one) => one.round === round)?.weightsHash;
    if (hash === undefined) continue;
    const sum = counted.reduce((total, id) => total + values.get(id), 0);
    weight = Math.fround(weight + sum / counted.length);
    const { weights } = decodeSafetensors(readFileSync(join(federation.home, 'blobs', hash.slice(0, 2), hash)));
    const right = [...weights.values()].every(({ data }) => data.every((value) => value === weight));
    if (!right) wrongSums += 1;
  }
  return { wrongSums, reportsLost, roundsChecked: checkpoints.length };
}

async function measure({ agents, cohort, parameters, rounds, atWork, log }) {
  const note = (text) => log && console.error(text);
  const federation = await openFederation('swarm');
  const door = await openDoor(federation.ready.enrolAddress);
  let swarm;
  try {
    const answers = [];
    const troubles = [];
    const enrolled = { at: performance.now(), cpu: cpuSeconds([federation.coordinator.pid]) };
    swarm = await openSwarm(federation, {
      count: agents,
      parameters,
      valueOf,
      atWork,
      door: door.address,
      onAnswer: (answer) => answers.push(answer),
      onTrouble: (error) => {
        troubles.push(error);
        note(`trouble: ${error.message}`);
      },
    });
    await federation.untilConnected(agents);
    const connected = await federation.call('GET', '/system');
    const { pid } = federation.coordinator;
    note(
      `${agents} agents enrolled and connected in ${((performance.now() - enrolled.at) / 1000).toFixed(1)} s, coordinator ${(connected.rssBytes / 1e6).toFixed(0)} MB`,
    );
    const connectCpu = cpuSeconds([pid]) - enrolled.cpu;
    const values = new Map(swarm.agentIds.map((id, index) => [id, valueOf(index)]));
    const task = await federation.call('POST', '/tasks', {
      name: 'swarm',
      kind: 'probe',
      parameters,
      add: 0,
      rounds,
      // Every agent is told to add a number of its own, so that a sum says who is in it; norms differ by as much.
      limits: { maxNormRatio: 1000 },
      cohort: { min: cohort, goal: cohort, max: cohort },
      windowMs: 600_000,
    });
    const before = { cpu: cpuSeconds([pid]), wire: loopbackBytes(), at: performance.now() };
    const { id } = await federation.call('POST', '/runs', { taskId: task.id, seed: 1, rounds });
    const run = await federation.untilOver(id, 1_800_000);
    const wallSeconds = (performance.now() - before.at) / 1000;
    if (run.status !== 'completed') throw new Error(`the run ended as ${run.status}: ${run.reason}`);
    const coordinatorCpu = cpuSeconds([pid]) - before.cpu;
    const system = await federation.call('GET', '/system');
    const checked = await verify(federation, id, { answers, values });
    const times = (name) => answers.map((answer) => answer[name]);
    const tree = treeOf([pid]);
    return {
      bench: 'swarm',
      agents,
      reportsPerRound: cohort,
      parameters,
      rounds,
      roundsPerMinute: (rounds / wallSeconds) * 60,
      wallSecondsPerRound: wallSeconds / rounds,
      coordinatorCpuSecondsPerRound: coordinatorCpu / rounds,
      coordinatorPeakBytes: peakBytes(pid),
      coordinatorTreePeakBytes: tree.reduce((sum, one) => sum + peakBytes(one), 0),
      bytesPerConnection: connected.rssBytes / agents,
      cpuMsPerEnrolmentAndConnection: (connectCpu * 1000) / agents,
      eventLoopDelayP99Ms: system.eventLoopDelayP99Ms,
      eventLoopDelayMaxMs: system.eventLoopDelayMaxMs,
      wireBytesPerRound: (loopbackBytes() - before.wire) / rounds,
      fetchMsMedian: median(times('fetchMs')),
      uploadMsMedian: median(times('uploadMs')),
      reportMsMedian: median(times('reportMs')),
      reportMsP99: quantile(times('reportMs'), 0.99),
      refused: answers.filter(({ verdict }) => !verdict.accepted).length,
      troubles: troubles.length,
      ...checked,
      withinLimits:
        checked.wrongSums === 0 &&
        checked.reportsLost === 0 &&
        troubles.length === 0 &&
        peakBytes(pid) < limits.coordinatorPeakBytes &&
        system.eventLoopDelayP99Ms < limits.eventLoopDelayP99Ms,
      swarmRssBytes: process.memoryUsage().rss,
      machine: machine(),
    };
  } finally {
    swarm?.close();
    door.close();
    await federation.close();
  }
}

export async function run(args) {
  const { values } = parseArgs({
    args,
    options: {
      agents: { type: 'string', default: '1000' },
      cohort: { type: 'string', default: '200' },
      parameters: { type: 'string', default: '250000' },
      rounds: { type: 'string', default: '5' },
      'at-work': { type: 'string', default: '8' },
      verbose: { type: 'boolean', default: false },
    },
  });
  const [agents, cohort, parameters, rounds, atWork] = [
    values.agents,
    values.cohort,
    values.parameters,
    values.rounds,
    values['at-work'],
  ].map(Number);
  console.log(JSON.stringify(await measure({ agents, cohort, parameters, rounds, atWork, log: values.verbose })));
}
