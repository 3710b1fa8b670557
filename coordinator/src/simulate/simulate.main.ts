/**
 * The process behind `graft simulate`. Reads a SimulationRequest from the file in argv[2] and prints JSON lines: one at the
 * beginning of each policy, one a committed round, one with the result, or one with an error.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { GraftError } from '@graft/core/error';
import { seedFrom } from '@graft/core/random';
import type { RoundPolicy } from '@graft/models/pipeline/schedule/round-policy';
import { signingKeyFromSeed, type SigningKey } from '@graft/protos/identity/keys';
import { signRelease } from '@graft/protos/identity/signatures.adapter';

import { openBlobDirectory } from '../blobs/blob-directory.adapter.js';
import type { BlobStore } from '../blobs/blob-store.js';
import type { Aggregator, FoldResult } from '../compute/aggregation.js';
import { callHost, threadChannel } from '../compute/call-host.driver.js';
import type { ModelWork } from '../compute/model-work.js';
import type { Opened } from '../rounds/admission.js';
import { newRun } from '../rounds/machine/machine.js';
import type { StoredRun } from '../rounds/material.js';
import { newRoundKey, publicRoundKey } from '../rounds/round-keys.adapter.js';
import type { Logger } from '../rounds/rounds.js';
import { runPlan } from '../rounds/run-plan.js';
import type { Device } from './devices/device.js';
import { devicesOf, simulationRequestSchema, type SimulationRequest } from './request.js';
import { simulateRun, type SimulationPorts } from './run/simulate-run.driver.js';
import type { Beginning, SimulatedWork } from './work/simulated-work.js';
import { startPool, type Pool } from './work/pool.driver.js';

const say = (event: object): void => void process.stdout.write(`${JSON.stringify(event)}\n`);

const logger: Logger = {
  info: () => undefined,
  warn: (fields, message) => process.stderr.write(`${message} ${JSON.stringify(fields)}\n`),
  error: (fields, message) => process.stderr.write(`${message} ${JSON.stringify(fields)}\n`),
};

function arithmetic(blobDirectory: string): Aggregator {
  const file = new URL('../compute/arithmetic.main.js', import.meta.url);
  const thread = callHost('the arithmetic thread', () => threadChannel(file, { blobDirectory }), logger);
  return {
    open: (request) => thread.call('open', request) as Promise<Opened>,
    fold: (request) => thread.call('fold', request) as Promise<FoldResult>,
    close: () => thread.close(),
  };
}

/** The coordinator's work on models: candidates are measured, and not quantized. */
function modelWork(pool: SimulatedWork): ModelWork {
  return {
    prepare: async () => {
      throw new GraftError('INTERNAL', 'a simulation prepares its run itself');
    },
    quantize: async () => ({ result: { none: 'a simulation does not quantize' } }),
    evaluate: async ({ fp32 }) => {
      const checkpoint = fp32.tail.weights.at(-1);
      const [measured] = checkpoint === undefined ? [] : await pool.measure({ checkpoint });
      if (measured === undefined) return { none: 'there is nothing to evaluate on' };
      return { fp32: { ...measured, latencyP50Ms: 0, latencyP95Ms: 0 }, klSum: 0 };
    },
    close: async () => undefined,
  };
}

/** The run as it is stored before its first event. */
function newStoredRun(request: SimulationRequest, policy: RoundPolicy, beginning: Beginning): StoredRun {
  const { task, seed, rounds } = request;
  const runId = `simulation-${policy.kind}`;
  const { layoutHash, parameterCount, graph, checkpoint, features } = beginning;
  const shared = { taskId: task.name, layoutHash, parameterCount };
  return {
    machine: newRun(runPlan({ ...task, policy }, { runId, taskId: task.name, seed, rounds }), checkpoint, { atMs: 0 }),
    material:
      task.kind === 'probe'
        ? { ...shared, kind: 'probe', add: task.add }
        : {
            ...shared,
            kind: 'fit',
            pipeline: {
              preprocessing: { kind: 'features', length: features },
              tail: { graph, weights: [] },
              labels: task.labels,
            },
            training: JSON.stringify(task.training),
            holdOut: graph.hash,
          },
    transferred: { round: 1, agents: {} },
  };
}

interface Stage {
  readonly devices: readonly Device[];
  readonly pool: Pool;
  readonly aggregator: Aggregator;
  readonly blobs: BlobStore;
  readonly identity: SigningKey;
}

async function simulatePolicy(request: SimulationRequest, policy: RoundPolicy, stage: Stage): Promise<void> {
  const { devices, pool, aggregator, blobs, identity } = stage;
  const { seed, task, longestMs } = request;
  const masterKey = new Uint8Array(32).fill(1);
  let lastId = 0;
  const ports: SimulationPorts = {
    work: pool,
    aggregator,
    models: modelWork(pool),
    blobs,
    masterKey,
    identityKey: identity.publicKey,
    sources: {
      newId: () => `instruction-${(lastId += 1)}`,
      newRoundKey: (of) => newRoundKey(of, identity, masterKey),
      publicRoundKey,
      signRelease: (manifest) => signRelease(identity, manifest),
    },
    wallMs: () => performance.now(),
    onRound: (line) => say({ event: 'round', policy: policy.kind, ...line }),
  };
  const beginning = await pool.begin();
  const { parameterCount, checkpoint } = beginning;
  say({
    event: 'begin',
    policy: policy.kind,
    agents: devices.length,
    parameters: parameterCount,
    downBytes: checkpoint.fp16.sizeBytes,
  });
  const run = newStoredRun(request, policy, beginning);
  const epochs = task.kind === 'fit' ? task.training.epochs : 0;
  say({ event: 'result', ...(await simulateRun({ run, devices, seed, epochs, longestMs }, ports)) });
}

async function main(file: string): Promise<void> {
  const parsed = simulationRequestSchema.safeParse(JSON.parse(await readFile(file, 'utf8')));
  if (!parsed.success) {
    throw new GraftError('INVALID_REQUEST', `the simulation cannot be run: ${z.prettifyError(parsed.error)}`);
  }
  const request = parsed.data;
  const { directory, seed, task, hidden, alpha, dataFile, processes } = request;
  const traceText = 'file' in request.trace ? await readFile(request.trace.file, 'utf8') : '';
  const devices = devicesOf(request, traceText);
  const blobDirectory = join(directory, 'blobs');
  const blobs = await openBlobDirectory(blobDirectory);
  const laboratoryFile = join(directory, 'laboratory.json');
  const laboratory = { seed, task, hidden, alpha, ...(dataFile !== undefined && { dataFile }) };
  await writeFile(laboratoryFile, JSON.stringify(laboratory));
  const pool = startPool(processes, [blobDirectory, laboratoryFile], logger);
  const aggregator = arithmetic(blobDirectory);
  const identity = signingKeyFromSeed(new Uint8Array(32).fill(seedFrom('identity', seed) & 255));
  try {
    for (const policy of request.policies) {
      await simulatePolicy(request, policy, { devices, pool, aggregator, blobs, identity });
    }
  } finally {
    await Promise.all([pool.close(), aggregator.close()]);
  }
}

try {
  await main(process.argv[2] ?? '');
} catch (error) {
  const known =
    error instanceof GraftError
      ? error
      : new GraftError('INTERNAL', error instanceof Error ? error.message : String(error), { cause: error });
  say({ event: 'error', code: known.code, message: known.message, details: known.details });
  process.exitCode = 1;
}
