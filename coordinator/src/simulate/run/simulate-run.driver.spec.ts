import { createHash } from 'node:crypto';

import { taskSpecSchema } from '@graft/models/pipeline/task-spec';
import { signingKeyFromSeed } from '@graft/protos/identity/keys';
import { decodeUpdateManifest, encodeUpdateManifest } from '@graft/protos/message-codec.adapter';
import { ciphertextBytes } from '@graft/protos/sealed/envelope';

import type { FoldRequest } from '../../compute/aggregation.js';
import { newRun } from '../../rounds/machine/machine.js';
import { checkpoint } from '../../rounds/machine/scenario.contract.js';
import type { StoredRun } from '../../rounds/material.js';
import { newRoundKey, publicRoundKey } from '../../rounds/round-keys.adapter.js';
import { runPlan } from '../../rounds/run-plan.js';
import { builtInDevices } from '../devices/built-in-traces.js';
import type { SimulatedWork } from '../work/simulated-work.js';
import type { RoundLine } from './result.js';
import { simulateRun, type SimulationPorts } from './simulate-run.driver.js';

const parameterCount = 100;
const sealedBytes = ciphertextBytes(parameterCount * 4);
const identity = signingKeyFromSeed(new Uint8Array(32).fill(3));
const masterKey = new Uint8Array(32).fill(1);
const layoutHash = '1'.repeat(64);

const taskOf = (changes: object) =>
  taskSpecSchema.parse({
    name: 'digits',
    kind: 'fit',
    model: 'network',
    features: 'pixels',
    labels: ['zero', 'one'],
    scope: 'head',
    preprocessing: { kind: 'features', length: 4 },
    training: { loss: 'softmax-cross-entropy', optimizer: 'sgd', learningRate: 0.1, epochs: 1, batchSize: 8 },
    holdOut: '0'.repeat(64),
    rounds: 4,
    cohort: { min: 5, goal: 10, max: 13 },
    windowMs: 600_000,
    ...changes,
  });

function storedRun(task: ReturnType<typeof taskOf>): StoredRun {
  const plan = runPlan(task, { runId: 'simulated', taskId: 'digits', seed: 3 });
  const pipeline = {
    preprocessing: { kind: 'features', length: 4 } as const,
    tail: { graph: { hash: '2'.repeat(64), sizeBytes: 1 }, weights: [] },
    labels: ['zero', 'one'],
  };
  const material = {
    kind: 'fit',
    taskId: 'digits',
    layoutHash,
    parameterCount,
    pipeline,
    training: '{}',
    holdOut: 'x',
  } as const;
  return { machine: newRun(plan, checkpoint(0), { atMs: 0 }), material, transferred: { round: 1, agents: {} } };
}

/** Work that is done at once and learns nothing; a manifest says what was asked for. */
function quickWork(): SimulatedWork & { readonly withdrawn: string[] } {
  const withdrawn: string[] = [];
  return {
    withdrawn,
    begin: () => Promise.reject(new Error('not asked for')),
    measure: async ({ agents = [] }) => agents.map(() => ({ examples: 10, correct: 9, lossSum: 1 })),
    train: ({ agentId, taskId, runId, round, base, exampleCount }) => {
      const name = `${agentId} ${runId} ${round}`;
      const hash = createHash('sha256').update(name).digest('hex');
      const ciphertext = { hash, sizeBytes: sealedBytes };
      const context = { taskId, runId, round, agentId, baseHash: base.hash, layoutHash };
      const box = { boxedKey: new Uint8Array(48), boxedKeyNonce: new Uint8Array(24), ephemeralKey: new Uint8Array(32) };
      const sessionNonce = Uint8Array.from(Buffer.from(hash, 'hex').subarray(0, 16));
      const manifest = encodeUpdateManifest({
        ...context,
        ...box,
        sessionNonce,
        ciphertext,
        exampleCount,
        parameterCount,
      });
      return {
        answer: Promise.resolve({ manifest, ciphertext, exampleCount }),
        withdraw: () => void withdrawn.push(name),
      };
    },
  };
}

async function simulated(changes: object, options: { agents?: number; longestMs?: number; seed?: number } = {}) {
  const { agents = 200, longestMs = 24 * 3_600_000, seed = 3 } = options;
  const lines: RoundLine[] = [];
  const folds: string[][] = [];
  const deleted: string[] = [];
  const work = quickWork();
  const fold = async ({ updates }: FoldRequest) => {
    folds.push(updates.map(({ manifest, agentId }) => `${agentId} of round ${decodeUpdateManifest(manifest).round}`));
    const { weights, fp16 } = checkpoint(folds.length);
    return { weights, fp16, report: { updateCount: updates.length, exampleCount: 1, norm: 1 } };
  };
  let lastId = 0;
  const ports: SimulationPorts = {
    work,
    aggregator: { open: async () => ({ kind: 'opened', norm: 1 }), fold, close: async () => undefined },
    models: {
      prepare: () => Promise.reject(new Error('not asked for')),
      quantize: async () => ({ result: { none: 'not quantized' } }),
      evaluate: async () => ({
        fp32: { examples: 100, correct: 80 + 5 * folds.length, lossSum: 30, latencyP50Ms: 0, latencyP95Ms: 0 },
        klSum: 0,
      }),
      close: async () => undefined,
    },
    blobs: { has: async () => sealedBytes, delete: async (hash) => void deleted.push(hash) },
    sources: {
      newId: () => `instruction-${(lastId += 1)}`,
      newRoundKey: (of) => newRoundKey(of, identity, masterKey),
      publicRoundKey,
      signRelease: () => new Uint8Array(64),
    },
    masterKey,
    identityKey: identity.publicKey,
    wallMs: () => 0,
    onRound: (line) => lines.push(line),
  };
  const devices = builtInDevices('phones', agents, seed);
  const run = storedRun(taskOf(changes));
  const result = await simulateRun({ run, devices, seed, epochs: 1, longestMs }, ports);
  return { result, lines, folds, deleted, work };
}

describe.each(['synchronous', 'bufferedAsynchronous', 'semiSynchronous'])('a simulated run that is %s', (kind) => {
  it('completes its rounds, each folds every update once, and nothing is kept of what was folded', async () => {
    const { result, lines, folds, deleted } = await simulated({ policy: { kind } });
    expect(result).toMatchObject({ policy: kind, status: 'completed', rounds: 4, accuracy: 1 });
    expect(lines.map(({ round }) => round)).toEqual([1, 2, 3, 4]);
    expect(lines.every(({ atMs }, index) => atMs > (lines[index - 1]?.atMs ?? 0))).toBe(true);
    const all = folds.flat();
    expect(new Set(all).size).toBe(all.length);
    expect(lines.map(({ accepted }) => accepted)).toEqual(folds.map((fold) => fold.length));
    expect(deleted).toHaveLength(all.length);
    expect(result.updates).toBe(all.length);
  });

  it('is the same again with the same seed, and another with another', async () => {
    const [first, again, other] = [
      await simulated({ policy: { kind } }),
      await simulated({ policy: { kind } }),
      await simulated({ policy: { kind } }, { seed: 4 }),
    ];
    expect([again.result, again.lines, again.folds]).toEqual([first.result, first.lines, first.folds]);
    expect(other.folds).not.toEqual(first.folds);
  });
});

describe('a simulated run', () => {
  it('says how accurate it was, when, and how many bytes went', async () => {
    const { result, lines } = await simulated({});
    expect(result.timeToAccuracyMs).toEqual({ '0.8': lines[0]?.atMs, '0.9': lines[1]?.atMs, '0.95': lines[2]?.atMs });
    expect(lines[0]?.bytesUp).toBe((lines[0]?.accepted ?? 0) * sealedBytes);
    expect(lines[0]?.asked).toBe(13);
  });

  it('withdraws the training of those that nobody waits for any more', async () => {
    const { work, lines } = await simulated({});
    expect(work.withdrawn.length).toBe(lines.reduce((sum, { asked, accepted }) => sum + asked - accepted, 0));
  });

  it('ends out of time where too few agents ever come', async () => {
    const { result } = await simulated({ cohort: { min: 50, goal: 50, max: 50 } }, { agents: 20 });
    expect(result).toMatchObject({ status: 'out of time', rounds: 0, virtualMs: 24 * 3_600_000 });
    expect(result.reason).toContain('50');
  });
});
