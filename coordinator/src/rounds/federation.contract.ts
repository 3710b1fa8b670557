/** A federation in one process for specs of the engine: simulated agents that seal real updates, real aggregation, no network. */
import { layoutOf, canonicalLayout } from '@graft/core/layout';
import { tensor } from '@graft/core/tensor';
import { encodeSafetensors } from '@graft/models/formats/safetensors';
import { sha256 } from '@graft/models/formats/sha256.adapter';
import type { BlobRef, Pipeline } from '@graft/models/pipeline/pipeline';
import { taskSpecSchema } from '@graft/models/pipeline/task-spec';
import { signingKeyFromSeed, type SigningKey } from '@graft/protos/identity/keys';
import { signRelease, signUpdate } from '@graft/protos/identity/signatures.adapter';
import type * as wire from '@graft/protos/messages';

import { foldUpdates, openUpdate } from '../compute/aggregate.adapter.js';
import type { ModelWork } from '../compute/model-work.js';
import { blobDirectory, coordinatorIdentity, sealUpdate } from '../compute/sealing.contract.js';
import { systemTimers } from '../server/timers.adapter.js';
import { createRounds, type RoundsDependencies } from './create-rounds.driver.js';
import type { EngineStore } from './engine-store.js';
import type { StoredRun } from './material.js';
import type { MemoryContents, MemoryEngineStore } from './memory-engine-store.contract.js';
import { isOpen, type RunState } from './machine/state.js';
import { newRoundKey, publicRoundKey } from './round-keys.adapter.js';
import type { Rounds, Verdict } from './rounds.js';
import type { RowSources } from './step-rows.js';

export const masterKey = new Uint8Array(32).fill(9);
const parameterCount = 1000;
const labels = ['zero', 'one'];
const training = { loss: 'softmax-cross-entropy', optimizer: 'adam', learningRate: 0.01, epochs: 1, batchSize: 8 };
const shared = { rounds: 3, cohort: { min: 2, goal: 3, max: 3 }, windowMs: 120_000 };

export const tasks = {
  probe: taskSpecSchema.parse({ ...shared, name: 'probe', kind: 'probe', parameters: parameterCount, add: 0.5 }),
  fit: taskSpecSchema.parse({
    ...shared,
    name: 'fit',
    kind: 'fit',
    model: 'reader',
    features: 'features',
    labels,
    scope: 'head',
    preprocessing: { kind: 'features', length: 4 },
    training,
    holdOut: 'a'.repeat(64),
  }),
};

/** How one simulated agent trains: its delta in a round, and what it does to the signed manifest. */
export interface AgentBehaviour {
  readonly delta: (round: number) => Float32Array;
  readonly exampleCount?: number;
  /** Answers nothing. */
  readonly silent?: boolean;
  /** Reports that it cannot train. */
  readonly fails?: boolean;
}

/** A store, and what agents and specs see of it. */
export interface FederationStore extends EngineStore {
  unsettled(agentId: string): Promise<readonly wire.Instruction[]>;
  stored(runId: string): Promise<StoredRun>;
}

export interface FederationOptions<Store extends FederationStore> {
  /** Opens the store, empty but for the tasks and the keys of the agents. */
  readonly open: (contents: MemoryContents, sources: RowSources) => Promise<Store> | Store;
  readonly changes?: Partial<RoundsDependencies>;
}

export interface Federation<Store extends FederationStore = MemoryEngineStore> {
  readonly store: Store;
  readonly blobs: ReturnType<typeof blobDirectory>;
  readonly rounds: Rounds;
  readonly verdicts: Record<string, Verdict[]>;
  connect(agentId: string): Promise<void>;
  disconnect(agentId: string): Promise<void>;
  /** The engine is gone without a word; another takes its place and the agents come back. */
  replaceEngine(): Promise<void>;
  /** Sends again what an agent sent last. */
  repeat(agentId: string): Promise<Verdict>;
  signingKey(agentId: string): SigningKey;
  close(): Promise<void>;
}

export async function federation<Store extends FederationStore>(
  behaviours: Readonly<Record<string, AgentBehaviour>>,
  { open, changes = {} }: FederationOptions<Store>,
): Promise<Federation<Store>> {
  const blobs = blobDirectory();
  const keys = new Map(
    Object.keys(behaviours).map((id, i) => [id, signingKeyFromSeed(new Uint8Array(32).fill(i + 10))]),
  );
  let lastId = 0;
  const sources: RowSources = {
    newId: () => `instruction-${(lastId += 1)}`,
    newRoundKey: (of) => newRoundKey(of, coordinatorIdentity, masterKey),
    publicRoundKey,
    signRelease: (manifest) => signRelease(coordinatorIdentity, manifest),
  };
  const model = {
    card: {} as never,
    graph: blobs.store(Buffer.from('graph')),
    weights: blobs.store(Buffer.from('weights')),
  };
  const store = await open(
    {
      tasks: { probe: tasks.probe, fit: tasks.fit },
      models: { reader: model },
      signingKeys: Object.fromEntries([...keys].map(([id, { publicKey }]) => [id, publicKey])),
    },
    sources,
  );
  const connected = new Set<string>();
  const verdicts: Federation['verdicts'] = {};
  const handled = new Map<string, Promise<void>>();
  const sealed = new Map<string, { manifest: Uint8Array; signature: Uint8Array }>();
  const last = new Map<string, { manifest: Uint8Array; signature: Uint8Array }>();
  const engines: Rounds[] = [];
  let closed = false;
  let engine: Rounds;

  const hub = {
    connected: () => [...connected].sort(),
    wake: (agentId: string) => {
      if (connected.has(agentId)) void deliver(agentId);
    },
  };

  async function deliver(agentId: string): Promise<void> {
    for (const instruction of await store.unsettled(agentId)) begin(agentId, instruction);
  }

  /** An instruction that comes again is worked on once; its report is sent again. */
  function begin(agentId: string, instruction: wire.Instruction): void {
    const key = `${agentId} ${instruction.id}`;
    if (handled.has(key)) return;
    const done = act(agentId, instruction).catch(() => {
      // The engine died over it: report again, as an agent does until it is heard.
      handled.delete(key);
      if (!closed) setTimeout(() => hub.wake(agentId), 10);
    });
    handled.set(key, done);
  }

  async function act(agentId: string, instruction: wire.Instruction): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 1));
    const id = instruction.id;
    if (instruction.kind === 'train') await train(agentId, id, instruction.train);
    if (instruction.kind === 'evaluate') {
      const { runId, round } = instruction.evaluate;
      const fp32 = { examples: 10, correct: 9, lossSum: 2, latencyP50Ms: 1, latencyP95Ms: 2 };
      const int8 = instruction.evaluate.int8 ? fp32 : null;
      await engine.reportEvaluation(agentId, { instructionId: id, runId, round, fp32, int8, klSum: 0.1 });
    }
    if (instruction.kind === 'install') {
      const { id: releaseId } = JSON.parse(new TextDecoder().decode(instruction.install.manifest)) as { id: string };
      await engine.reportInstalled(agentId, { instructionId: id, releaseId });
    }
  }

  async function train(agentId: string, instructionId: string, plan: wire.TrainPlan): Promise<void> {
    const behaviour = behaviours[agentId];
    if (behaviour === undefined || behaviour.silent === true) return;
    const { runId, round } = plan;
    if (behaviour.fails === true) {
      const failure = { instructionId, runId, round, code: 'DATA_NOT_FOUND', message: 'no such folder' };
      await engine.reportFailure(agentId, failure);
      return;
    }
    const work = `${agentId} ${runId} ${round}`;
    const kept = sealed.get(work) ?? seal(agentId, plan, behaviour);
    sealed.set(work, kept);
    last.set(agentId, kept);
    const verdict = await engine.reportUpdate(agentId, kept.manifest, kept.signature);
    (verdicts[agentId] ??= []).push(verdict);
  }

  function seal(
    agentId: string,
    plan: wire.TrainPlan,
    behaviour: AgentBehaviour,
  ): { manifest: Uint8Array; signature: Uint8Array } {
    const { taskId, runId, round, layoutHash } = plan;
    const { manifest } = sealUpdate(
      {
        agentId,
        delta: behaviour.delta(round),
        exampleCount: behaviour.exampleCount ?? 10,
        roundKey: plan.roundKey,
        roundKeySignature: plan.roundKeySignature,
        context: { taskId, runId, round, layoutHash, baseHash: plan.base?.hash ?? '' },
      },
      blobs.store,
    );
    return { manifest, signature: signUpdate(keyOf(agentId), manifest) };
  }

  function keyOf(agentId: string): SigningKey {
    const key = keys.get(agentId);
    if (key === undefined) throw new Error(`no key of ${agentId}`);
    return key;
  }

  function start(): Rounds {
    return createRounds({
      store,
      hub,
      blobs: {
        has: async (hash) => {
          try {
            return blobs.read(hash).byteLength;
          } catch {
            return undefined;
          }
        },
      },
      aggregator: {
        open: async (request) => openUpdate(request, blobs),
        fold: async (request) => foldUpdates(request, blobs),
        close: async () => undefined,
      },
      work: fakeWork(blobs.store),
      masterKey,
      clock: { nowMs: () => Date.now() },
      timers: systemTimers,
      logger: { info: () => undefined, warn: () => undefined, error: () => undefined },
      settings: { gatherMs: 30, lostAfterMs: 150, retryMs: 20, attempts: 3 },
      ...changes,
    });
  }

  engine = start();
  engines.push(engine);
  return {
    store,
    blobs,
    verdicts,
    get rounds() {
      return engine;
    },
    connect: async (agentId) => {
      connected.add(agentId);
      await engine.agentConnected(agentId);
      hub.wake(agentId);
    },
    disconnect: async (agentId) => {
      connected.delete(agentId);
      await engine.agentLost(agentId);
    },
    replaceEngine: async () => {
      const back = [...connected];
      connected.clear();
      engine = start();
      engines.push(engine);
      await engine.resume();
      for (const agentId of back) {
        connected.add(agentId);
        await engine.agentConnected(agentId);
        hub.wake(agentId);
      }
    },
    repeat: async (agentId) => {
      const report = last.get(agentId);
      if (report === undefined) throw new Error(`${agentId} has sent nothing`);
      return engine.reportUpdate(agentId, report.manifest, report.signature);
    },
    signingKey: keyOf,
    close: async () => {
      closed = true;
      await Promise.allSettled(handled.values());
      await Promise.all(engines.map((each) => each.shutdown()));
    },
  };
}

/** Models without models: parts that are blobs of text, measures that are always the same. */
export function fakeWork(store: (bytes: Uint8Array) => BlobRef): ModelWork {
  const weights = new Float32Array(parameterCount);
  const vector = tensor('float32', [parameterCount], weights);
  const layoutHash = sha256(Buffer.from(canonicalLayout(layoutOf([['w', [parameterCount]]]))));
  const base = store(encodeSafetensors(new Map([['w', vector]])));
  const pipeline: Pipeline = {
    preprocessing: { kind: 'features', length: 4 },
    trunk: { graph: store(Buffer.from('trunk')), weights: [store(Buffer.from('trunk weights'))] },
    tail: { graph: store(Buffer.from('tail')), weights: [] },
    labels,
  };
  const measures = { examples: 100, correct: 90, lossSum: 20, latencyP50Ms: 1, latencyP95Ms: 2 };
  return {
    prepare: async ({ taskId, task }) => ({
      material:
        task.kind === 'probe'
          ? { kind: 'probe', taskId, layoutHash, parameterCount, add: task.add }
          : {
              kind: 'fit',
              taskId,
              layoutHash,
              parameterCount,
              pipeline,
              training: JSON.stringify(training),
              holdOut: 'a',
            },
      base: { round: 0, weights: base, fp16: base },
    }),
    quantize: async ({ pipeline: fp32 }) => ({
      result: { pipeline: fp32, sizeBytesFp32: 100, sizeBytesInt8: 25 },
      ...(pipeline.trunk && { frozenTrunk: pipeline.trunk }),
    }),
    evaluate: async () => ({ fp32: measures, int8: measures, klSum: 1 }),
    close: async () => undefined,
  };
}

/** A delta with one value everywhere, different for each round. */
export function constant(value: number): (round: number) => Float32Array {
  return (round) => new Float32Array(parameterCount).fill(value * round);
}

/** Waits until the run is over, or in a state that `until` names. */
export async function whenOver(
  { store }: { readonly store: FederationStore },
  runId: string,
  until: (state: RunState) => boolean = (state) => !isOpen(state),
): Promise<RunState> {
  for (let turn = 0; turn < 10_000; turn++) {
    const { machine } = await store.stored(runId);
    if (until(machine)) return machine;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`run ${runId} goes on: ${JSON.stringify((await store.stored(runId)).machine)}`);
}
