/**
 * What an agent's connection costs in time: how soon the coordinator knows that an agent or its host is dead, how soon an agent
 * knows that its coordinator is, and how long after the start of a round an idle agent has its first byte of it.
 * Real processes on loopback, mutual TLS, the durable store on. Peer for a dead agent: Flower 1.41, 55 s, recorded.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { federationClient } from '@graft/protos/clients.adapter';
import { credentials } from '@grpc/grpc-js';

import { openFederation, root, until } from './support/federation.mjs';
import { machine } from './support/processes.mjs';

const limits = { deadAgentMs: 2_000, firstByteMs: 20 };
const peer = { peer: 'Flower 1.41, recorded', peerMs: 55_000 };

const sorted = (values) => [...values].sort((a, b) => a - b);
const quantile = (values, share) => sorted(values)[Math.min(values.length - 1, Math.floor(share * values.length))];
const spread = (values) => ({
  times: values.length,
  medianMs: quantile(values, 0.5),
  p95Ms: quantile(values, 0.95),
  maxMs: Math.max(...values),
});

async function isConnected(federation, name) {
  const agents = await federation.call('GET', '/agents');
  return agents.find((agent) => agent.name === name)?.connected === true;
}

/** Milliseconds from a signal to an agent until the coordinator says that it is gone. */
async function noticeOf(federation, signal, name, timeoutMs) {
  await federation.addAgent(name);
  const child = federation.agents.at(-1);
  await until(`${name}`, () => isConnected(federation, name));
  await sleep(500);
  const startedAt = performance.now();
  child.kill(signal);
  await until(`the loss of ${name}`, async () => !(await isConnected(federation, name)), { timeoutMs, everyMs: 2 });
  const ms = performance.now() - startedAt;
  if (signal === 'SIGSTOP') child.kill('SIGKILL');
  return ms;
}

/** Milliseconds from kill -9 of the coordinator until its agent says so in status.json. */
async function coordinatorNotice(federation, name) {
  await federation.addAgent(name);
  await until(name, () => isConnected(federation, name));
  const state = () => JSON.parse(readFileSync(join(federation.directory, name, 'status.json'), 'utf8')).state;
  await until('the status', () => state() === 'connected');
  const startedAt = performance.now();
  federation.coordinator.kill('SIGKILL');
  await until('the agent to notice', () => state() === 'retrying', { everyMs: 2 });
  const ms = performance.now() - startedAt;
  await federation.coordinator.exited;
  return ms;
}

/** Opens the stream of an enrolled directory in this process; `arrived` has when each instruction came. */
function openStream(home) {
  const read = (file) => readFileSync(join(home, file));
  const address = /^federation: (.*)$/mu.exec(read('agent.yaml').toString())[1];
  const trust = credentials.createSsl(read('certs/ca.pem'), read('keys/tls.pem'), read('certs/agent.pem'));
  const client = federationClient(address, trust);
  const arrived = new Map();
  const hello = { minProtocol: 1, maxProtocol: 1, agentVersion: 'bench', clockMs: Date.now() };
  const stream = client.connect(hello);
  stream.on('data', (instruction) => {
    if (instruction.kind === 'train') arrived.set(instruction.train.runId, Date.now());
  });
  stream.on('error', () => undefined);
  return { arrived, close: () => client.close() };
}

/** Runs that are started and stopped, one after the other, and when their first plan came. */
async function firstBytes(federation, runs) {
  await federation.addAgent('idle');
  const child = federation.agents.at(-1);
  await until('idle', () => isConnected(federation, 'idle'));
  child.kill('SIGTERM');
  await child.exited;
  const agent = openStream(join(federation.directory, 'idle'));
  await until('idle', () => isConnected(federation, 'idle'));
  const cohort = { min: 1, goal: 1, max: 1 };
  const spec = {
    name: 'rehearsal',
    kind: 'probe',
    parameters: 250_000,
    add: 0.001,
    rounds: 1,
    cohort,
    windowMs: 600_000,
  };
  const task = await federation.call('POST', '/tasks', spec);
  const [fromStart, fromRequest] = [[], []];
  for (let index = 0; index < runs + 1; index++) {
    const askedAtMs = Date.now();
    const { id } = await federation.call('POST', '/runs', { taskId: task.id, seed: index, rounds: 1 });
    const cameAtMs = await until('the plan', () => agent.arrived.get(id), { everyMs: 1 });
    const round = await federation.call('GET', `/runs/${id}/rounds/1`);
    await federation.call('POST', `/runs/${id}/stop`, {});
    await sleep(50);
    // The first one loads what the others find loaded.
    if (index === 0) continue;
    fromStart.push(cameAtMs - round.startedAtMs);
    fromRequest.push(cameAtMs - askedAtMs);
  }
  agent.close();
  return { fromStart, fromRequest };
}

/** An agent whose events are read: milliseconds from the start of each round of a run until its plan had come. */
async function laterRounds(federation, rounds) {
  const program = join(root, 'client-agent/dist/main.js');
  const home = join(federation.directory, 'idle');
  const child = spawn(process.execPath, [program, 'start', '--json', '--dir', home], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let text = '';
  child.stdout.on('data', (piece) => (text += piece));
  try {
    await until('idle', () => isConnected(federation, 'idle'));
    const task = await federation.call('GET', '/tasks/rehearsal');
    const { id } = await federation.call('POST', '/runs', { taskId: task.id, seed: 1, rounds });
    await federation.untilOver(id);
    const events = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const came = events.filter(({ event, run, kind }) => event === 'queued' && run === id && kind === 'train');
    const times = [];
    for (const { round, at } of came.filter(({ round }) => round > 1)) {
      const { startedAtMs } = await federation.call('GET', `/runs/${id}/rounds/${round}`);
      times.push(Date.parse(at) - startedAtMs);
    }
    return times;
  } finally {
    child.kill('SIGTERM');
    await new Promise((done) => child.once('exit', done));
  }
}

export async function run(args) {
  const { values } = parseArgs({
    args,
    options: {
      times: { type: 'string', default: '5' },
      runs: { type: 'string', default: '20' },
      hosts: { type: 'string', default: '1' },
    },
  });
  const federation = await openFederation('agents');
  const say = (line) => console.log(JSON.stringify({ bench: 'agents', ...line, machine: machine() }));
  try {
    const { fromStart, fromRequest } = await firstBytes(federation, Number(values.runs));
    say({ case: 'start of a run to first byte', ...spread(fromStart) });
    say({ case: 'request for a run to first byte', ...spread(fromRequest) });
    const later = await laterRounds(federation, Number(values.runs) + 1);
    say({ case: 'round start to first byte', ...spread(later), limitMs: limits.firstByteMs });
    const killed = [];
    for (let index = 0; index < Number(values.times); index++)
      killed.push(await noticeOf(federation, 'SIGKILL', `killed-${index}`, 60_000));
    say({ case: 'dead agent noticed', ...spread(killed), limitMs: limits.deadAgentMs, ...peer });
    const stopped = [];
    for (let index = 0; index < Number(values.hosts); index++)
      stopped.push(await noticeOf(federation, 'SIGSTOP', `stopped-${index}`, 60_000));
    if (stopped.length > 0) say({ case: 'silent host noticed', ...spread(stopped), keepaliveMs: 10_000 + 5_000 });
    say({ case: 'dead coordinator noticed', ...spread([await coordinatorNotice(federation, 'watcher')]) });
  } finally {
    await federation.close();
  }
}
