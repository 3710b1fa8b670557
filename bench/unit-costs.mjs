/**
 * What one of each costs the coordinator, in this process and without a network: bytes of the messages, CPU of the machine's step
 * and of the rows of it by size of the population, CPU of checking, opening and folding an update. docs/scale.md adds them up.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { foldUpdates, openUpdate } from '@graft/coordinator/compute/aggregate.adapter';

import { newRun, step } from '@graft/coordinator/rounds/machine/machine';
import { stepRows } from '@graft/coordinator/rounds/step-rows';
import { runPlan } from '@graft/coordinator/rounds/run-plan';
import { newRoundKey, openSecretKey, publicRoundKey } from '@graft/coordinator/rounds/round-keys.adapter';
import { zeros } from '@graft/core/tensor';
import { encodeSafetensors } from '@graft/models/formats/safetensors';
import { encodeDownlink } from '@graft/models/quantize/downlink';
import { taskSpecSchema } from '@graft/models/pipeline/task-spec';
import { signingKeyFromSeed } from '@graft/protos/identity/keys';
import { signUpdate } from '@graft/protos/identity/signatures.adapter';
import { readManifest } from '@graft/protos/sealed/admit-manifest.adapter';
import { createSealer, plaintextChunks } from '@graft/protos/sealed/seal.adapter';
import { encodeInstruction, encodeUpdateManifest } from '@graft/protos/message-codec.adapter';

import { machine } from './support/processes.mjs';

const identity = signingKeyFromSeed(new Uint8Array(32).fill(1));
const masterKey = new Uint8Array(32).fill(2);
const layoutHash = '1'.repeat(64);

/** CPU milliseconds of one call, the least of three series. */
async function cpuMs(times, call) {
  const series = [];
  for (let repeat = 0; repeat < 3; repeat++) {
    const before = process.cpuUsage();
    for (let index = 0; index < times; index++) await call(index);
    const { user, system } = process.cpuUsage(before);
    series.push((user + system) / 1000 / times);
  }
  return Math.min(...series);
}

function blobDirectory() {
  const directory = mkdtempSync(join(tmpdir(), 'graft-unit-costs-'));
  const path = (hash) => join(directory, hash);
  const put = async (bytes) => {
    const hash = createHash('sha256').update(bytes).digest('hex');
    await writeFile(path(hash), bytes);
    return { hash, sizeBytes: bytes.byteLength };
  };
  return { path, put, remove: () => rmSync(directory, { recursive: true }) };
}

const taskOf = (parameters, cohort) =>
  taskSpecSchema.parse({
    name: 'costs',
    kind: 'probe',
    parameters,
    add: 0,
    rounds: 2,
    cohort: { min: cohort, goal: cohort, max: cohort },
    windowMs: 600_000,
  });

/** A run in training: so many agents connected, a cohort of them asked. */
function trainingRun({ agents, cohort, parameters, base }) {
  const plan = runPlan(taskOf(parameters, cohort), { runId: 'run', taskId: 'task', seed: 1 });
  const ids = Array.from({ length: agents }, (_, index) => `01J${String(index).padStart(23, '0')}`);
  const sources = {
    newId: () => '01JABCDEFGHJKMNPQRSTVWXYZ0',
    newRoundKey: (of) => newRoundKey(of, identity, masterKey),
    publicRoundKey,
    signRelease: () => new Uint8Array(64),
  };
  const before = {
    machine: newRun(plan, base, { atMs: 0 }),
    material: { kind: 'probe', taskId: 'task', layoutHash, parameterCount: parameters, add: 0 },
    transferred: { round: 1, agents: {} },
  };
  // All at once: as many events as agents would cost their square.
  const known = Object.fromEntries(ids.map((id) => [id, { connected: true }]));
  const first = { ...before, machine: { ...before.machine, agents: known } };
  const began = performance.now();
  const result = step(first.machine, { kind: 'timePassed', active: [], atMs: plan.gatherMs + 1 });
  const selectMs = performance.now() - began;
  const rows = stepRows(first, result, {}, sources);
  return { run: rows.run, rows, sources, selectMs };
}

/** Step and rows of one report, by how many agents the run knows. */
async function machineCosts({ agents, cohort, parameters, base }) {
  const { run, rows, sources, selectMs } = trainingRun({ agents, cohort, parameters, base });
  const asked = Object.keys(run.machine.members);
  const update = {
    exampleCount: 10,
    loss: 1,
    initialLoss: 2,
    norm: 1,
    bytes: 4 * parameters,
    trainMs: 1,
    featureMs: 1,
  };
  const report = (index) => {
    const agentId = asked[index % asked.length];
    return { kind: 'updateReceived', agentId, round: 1, update: { ...update, nonce: `nonce-${index}` }, atMs: 10_000 };
  };
  const times = agents > 20_000 ? 20 : 100;
  const stepMs = await cpuMs(times, (index) => step(run.machine, report(index)));
  const result = step(run.machine, report(0));
  const rowsMs = await cpuMs(times, () => stepRows(run, result, {}, sources));
  const stateMs = await cpuMs(times, () => JSON.stringify(run));
  const connectMs = await cpuMs(times, (index) =>
    step(run.machine, { kind: 'agentConnected', agentId: `new-${index}`, atMs: 10_000 }),
  );
  return {
    agents,
    cohort,
    selectMs,
    stepMs,
    rowsMs,
    connectMs,
    stateMs,
    stateBytes: Buffer.byteLength(JSON.stringify(run)),
    recordBytes: Buffer.byteLength(JSON.stringify(rows.round.record)),
    planBytes: encodeInstruction(rows.instructions[0].instruction).byteLength,
  };
}

/** Checking, opening and folding of sealed updates. */
async function updateCosts(blobs, { parameters, updates, weights }) {
  const stored = newRoundKey({ runId: 'run', round: 1 }, identity, masterKey);
  const { publicKey: roundKey, signature: roundKeySignature } = publicRoundKey(stored);
  const roundSecretKey = openSecretKey(stored, masterKey);
  const signing = signingKeyFromSeed(new Uint8Array(32).fill(4));
  const sealed = [];
  for (let index = 0; index < updates; index++) {
    const agentId = `agent-${String(index).padStart(4, '0')}`;
    const plaintext = new Uint8Array(new Float32Array(parameters).fill(1 / 1024).buffer);
    const context = { taskId: 'task', runId: 'run', round: 1, agentId, baseHash: '0', layoutHash };
    const keys = { roundKey, roundKeySignature, identityKey: identity.publicKey };
    const sealer = createSealer({ context, plaintextBytes: plaintext.byteLength, ...keys });
    const ciphertext = await blobs.put(
      Buffer.concat([...plaintextChunks(plaintext)].map((chunk) => sealer.seal(chunk))),
    );
    const fields = { ...context, exampleCount: 1, parameterCount: parameters, ...sealer.finish(), ciphertext };
    const manifest = encodeUpdateManifest(fields);
    const signature = signUpdate(signing, manifest);
    sealed.push({ agentId, manifest, signature, ciphertext, exampleCount: 1, weight: 1, roundSecretKey });
  }
  const agentOf = ({ agentId }) => ({ agentId, signingKey: signing.publicKey });
  const checkMs = await cpuMs(updates, (index) => readManifest(sealed[index], agentOf(sealed[index])));
  const openMs = await cpuMs(updates, (index) =>
    openUpdate({ update: sealed[index], roundSecretKey, parameterCount: parameters }, blobs),
  );
  const request = { updates: sealed, roundSecretKey, base: weights, parameterCount: parameters };
  const foldMs = (await cpuMs(1, () => foldUpdates(request, blobs))) / updates;
  return { parameters, updates, manifestBytes: sealed[0].manifest.byteLength, checkMs, openMs, foldMs };
}

export async function run(args) {
  const { values } = parseArgs({ args, options: { parameters: { type: 'string', default: '250000' } } });
  const parameters = Number(values.parameters);
  const blobs = blobDirectory();
  try {
    const probe = new Map([['probe', zeros('float32', [parameters])]]);
    const weights = await blobs.put(encodeSafetensors(probe));
    const base = { round: 0, weights, fp16: await blobs.put(encodeDownlink(probe).bytes) };
    const line = (what, costs) =>
      console.log(JSON.stringify({ bench: 'unit-costs', what, ...costs, machine: machine() }));
    for (const agents of [200, 1_000, 10_000, 100_000]) {
      line('machine', await machineCosts({ agents, cohort: 200, parameters, base }));
    }
    line('update', await updateCosts(blobs, { parameters, updates: 50, weights }));
  } finally {
    blobs.remove();
  }
}
