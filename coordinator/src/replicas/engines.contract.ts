/** Several engines in one process on one PostgreSQL, as replicas, with simulated agents that report to any of them. */
import { foldUpdates, finishFold, joinSums, openUpdate, sumGroup } from '../compute/aggregate.adapter.js';
import type { FoldShape } from '../compute/fold-plan.js';
import { blobDirectory, coordinatorIdentity, sealUpdate } from '../compute/sealing.contract.js';
import { unsettledInstructions } from '../federation/instructions.repository.js';
import { createRounds } from '../rounds/create-rounds.driver.js';
import { engineStore } from '../rounds/engine-store.repository.js';
import { constant, fakeWork, masterKey, tasks } from '../rounds/federation.contract.js';
import type { RunState } from '../rounds/machine/state.js';
import type { StoredRun } from '../rounds/material.js';
import type { Rounds, Verdict } from '../rounds/rounds.js';
import { openStore, type Store } from '../store/open-store.driver.js';
import { signingKeyFromSeed } from '@graft/protos/identity/keys';
import { signUpdate } from '@graft/protos/identity/signatures.adapter';
import type * as wire from '@graft/protos/messages';

import { cluster } from './cluster.driver.js';
import { foldJobs } from './folds/fold-jobs.repository.js';
import { takeFoldJobs } from './folds/fold-worker.driver.js';
import { sharedFolds } from './folds/shared-folds.driver.js';
import { inboxRepository } from './inbox.repository.js';
import { notifyStep } from './notify.repository.js';
import { presenceRepository } from './presence.repository.js';
import { runClaims } from './run-claims.repository.js';
import { openSignalLine } from './signal-line.adapter.js';
import type { ReplicaTimes } from './replica-times.js';

export interface EnginesOptions {
  readonly url: string;
  readonly count: number;
  /** Ids of the agents; agent n adds n + 1 times the round. */
  readonly agents: readonly string[];
  readonly shape: FoldShape;
}

export interface EngineReplica {
  readonly id: string;
  readonly rounds: Rounds;
  /** Its timers stand still, as those of a process that is paused do; what was due comes when it wakes. */
  pause(): void;
  wake(): void;
  /** Sums of groups and joins that it made for folds. */
  sums(): number;
  handOver(): Promise<void>;
}

export interface Engines {
  readonly replicas: readonly EngineReplica[];
  readonly db: Store['db'];
  state(runId: string): Promise<RunState>;
  ownerOf(runId: string): Promise<EngineReplica | undefined>;
  until(what: string, is: () => Promise<boolean>): Promise<void>;
  connect(agentId: string, at: number): Promise<void>;
  /** Sends again what an agent sent last. */
  repeat(agentId: string, at: EngineReplica): Promise<Verdict>;
  close(): Promise<void>;
}

export const times: ReplicaTimes = { leaseMs: 3_000, renewMs: 500, sweepMs: 1_000, answerMs: 10_000, activityMs: 300 };

const logger = { info: () => undefined, warn: () => undefined, error: () => undefined };
const clock = { nowMs: () => Date.now() };

export async function openEngines({ url, count, agents, shape }: EnginesOptions): Promise<Engines> {
  const blobs = blobDirectory();
  const first = await openStore({ kind: 'postgres', url });
  const keys = new Map(agents.map((id, i) => [id, signingKeyFromSeed(new Uint8Array(32).fill(i + 10))]));
  await fill(first, keys);
  const work = fakeWork(blobs.store);
  const sealed = new Map<string, { manifest: Uint8Array; signature: Uint8Array }>();
  const last = new Map<string, { manifest: Uint8Array; signature: Uint8Array }>();
  const replicas: (EngineReplica & { close(): Promise<void>; join(agentId: string): Promise<void> })[] = [];
  let turn = 0;
  let closed = false;

  /** An agent's connection may lie at any replica. */
  const any = (): Rounds => (replicas[turn++ % replicas.length] as EngineReplica).rounds;

  async function act(agentId: string, instruction: wire.Instruction): Promise<void> {
    if (instruction.kind !== 'train') return;
    const { train: plan } = instruction;
    const { taskId, runId, round, layoutHash } = plan;
    const key = `${agentId} ${runId} ${round}`;
    const signing = keys.get(agentId);
    if (signing === undefined) throw new Error(`no key of ${agentId}`);
    const delta = constant(agents.indexOf(agentId) + 1)(round);
    const context = { taskId, runId, round, layoutHash, baseHash: plan.base?.hash ?? '' };
    const { roundKey, roundKeySignature } = plan;
    const report =
      sealed.get(key) ??
      (({ manifest }) => ({ manifest, signature: signUpdate(signing, manifest) }))(
        sealUpdate({ agentId, delta, exampleCount: 10, roundKey, roundKeySignature, context }, blobs.store),
      );
    sealed.set(key, report);
    last.set(agentId, report);
    const { reason } = await any().reportUpdate(agentId, report.manifest, report.signature);
    if (reason === 'incomplete') throw new Error('to be reported again');
  }

  async function replica(i: number): Promise<(typeof replicas)[number]> {
    const store = i === 0 ? first : await openStore({ kind: 'postgres', url });
    const { db } = store;
    const id = `replica-${i}`;
    const signals = await openSignalLine(url, logger);
    const timers = pausableTimers();
    const here = new Set<string>();
    const handled = new Set<string>();
    const unsettled = unsettledInstructions(db);
    let made = 0;

    const deliver = async (agentId: string): Promise<void> => {
      for (const instruction of await unsettled(agentId)) {
        if (handled.has(instruction.id)) continue;
        handled.add(instruction.id);
        // Reported again until it is heard, as an agent does.
        act(agentId, instruction).catch(() => {
          handled.delete(instruction.id);
          if (!closed) setTimeout(() => hub.wake(agentId), 100);
        });
      }
    };
    const hub = {
      connected: () => [...here].sort(),
      wake: (agentId: string) => {
        if (here.has(agentId) && !closed) deliver(agentId).catch(() => undefined);
      },
    };
    const engine = engineStore(db, {
      owner: id,
      identity: coordinatorIdentity,
      masterKey,
      clock,
      leaseMs: times.leaseMs,
      announce: notifyStep,
    });
    const claims = runClaims(db, { owner: id, leaseMs: times.leaseMs });
    const jobs = foldJobs(db, { owner: id, leaseMs: times.leaseMs });
    const counted = <T>(answer: Promise<T>): Promise<T> => ((made += 1), answer);
    const sums = {
      group: (request: Parameters<typeof sumGroup>[0]) => counted(sumGroup(request, blobs)),
      join: (request: Parameters<typeof joinSums>[0]) => counted(joinSums(request, blobs)),
      finish: (request: Parameters<typeof finishFold>[0]) => finishFold(request, blobs),
    };
    const worker = { jobs, sums, store: engine, claims, masterKey, timers, leaseMs: times.leaseMs, logger };
    const others = cluster({
      id,
      presence: presenceRepository(db, { id, version: 'test', leaseMs: times.leaseMs }),
      inbox: inboxRepository(db),
      claims,
      signals,
      hub,
      meter: { byAgent: () => new Map() },
      clock,
      timers,
      logger,
      times,
      random: () => Math.random(),
      adjustClock: async () => undefined,
      takeFoldJobs: (isStopping) => takeFoldJobs(worker, isStopping),
      foldJobs: jobs,
    });
    const isStopping = (): boolean => others.isStopping();
    const rounds = createRounds({
      store: engine,
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
        fold: async (request) => foldUpdates({ ...request, shape }, blobs),
        close: async () => undefined,
      },
      work,
      masterKey,
      clock,
      timers,
      logger,
      settings: { gatherMs: 2_000, lostAfterMs: 10_000, retryMs: 20, attempts: 3 },
      elsewhere: others,
      ...(count > 1 && {
        folds: sharedFolds({
          jobs,
          sums,
          blobs: { delete: async () => undefined },
          signals,
          timers,
          logger,
          shape,
          isStopping,
        }),
      }),
    });
    await rounds.resume();
    return {
      id,
      rounds,
      pause: timers.pause,
      wake: timers.wake,
      sums: () => made,
      handOver: () => others.handOver(),
      join: async (agentId) => {
        here.add(agentId);
        await rounds.agentConnected(agentId);
        hub.wake(agentId);
      },
      close: async () => {
        await rounds.shutdown();
        await signals.close();
        if (i > 0) await store.close();
      },
    };
  }

  for (let i = 0; i < count; i++) replicas.push(await replica(i));
  const stored = async (runId: string) =>
    first.db.selectFrom('runs').select(['state', 'lease_owner']).where('id', '=', runId).executeTakeFirstOrThrow();
  return {
    replicas,
    db: first.db,
    state: async (runId) => ((await stored(runId)).state as StoredRun).machine,
    ownerOf: async (runId) => {
      const { lease_owner } = await stored(runId);
      return replicas.find(({ id }) => id === lease_owner);
    },
    until: async (what, is) => {
      for (const endMs = Date.now() + 60_000; !(await is());) {
        if (Date.now() > endMs) throw new Error(`waited a minute for ${what}: ${await whatIs(first.db)}`);
        await new Promise((done) => setTimeout(done, 50));
      }
    },
    connect: async (agentId, at) => replicas[at]?.join(agentId),
    repeat: async (agentId, { rounds }) => {
      const report = last.get(agentId);
      if (report === undefined) throw new Error(`${agentId} has sent nothing`);
      return rounds.reportUpdate(agentId, report.manifest, report.signature);
    },
    close: async () => {
      closed = true;
      for (const one of replicas) one.wake();
      await Promise.all(replicas.map((one) => one.close()));
      await first.close();
    },
  };
}

async function fill({ db }: Store, keys: ReadonlyMap<string, { readonly publicKey: Uint8Array }>): Promise<void> {
  const unused = JSON.stringify({ hash: '0'.repeat(64), sizeBytes: 0 });
  const spec = { ...tasks.probe, cohort: { min: keys.size, goal: keys.size, max: keys.size } };
  const row = { id: 'probe', name: 'probe', kind: 'probe', layout_hash: '', parameter_count: 0, created_at_ms: 0 };
  await db
    .insertInto('tasks')
    .values({ ...row, spec: JSON.stringify(spec), weights: unused, fp16: unused })
    .execute();
  for (const [id, { publicKey }] of keys) {
    const key = Buffer.from(publicKey);
    const agent = { id, name: id, state: 'active', certificate: '', created_at_ms: 0 };
    await db
      .insertInto('agents')
      .values({ ...agent, signing_key: key, agreement_key: key })
      .execute();
  }
}

/** What the database holds, for whoever looks why nothing goes on. */
async function whatIs(db: Store['db']): Promise<string> {
  const runs = await db.selectFrom('runs').select(['id', 'state', 'open', 'lease_owner', 'fence']).execute();
  const states = runs.map(({ state, ...run }) => {
    const { round, attempt, phase, status, reason, members, abandoned } = (state as StoredRun).machine;
    return { ...run, round, attempt, phase, status, reason, abandoned, ...(run.open && { members }) };
  });
  const waiting = await db.selectFrom('inbox').select(['run_id', 'key']).where('done_at_ms', 'is', null).execute();
  const jobs = await db.selectFrom('fold_jobs').select(['place', 'tries', 'failure', 'lease_owner']).execute();
  const presence = await db.selectFrom('presence').selectAll().execute();
  const replicas = await db.selectFrom('replicas').selectAll().execute();
  return JSON.stringify({ nowMs: Date.now(), states, waiting, jobs, presence, replicas });
}

/** Real timers that can be made to stand still. */
function pausableTimers() {
  let paused = false;
  let due: (() => void)[] = [];
  return {
    after: (ms: number, run: () => void) => {
      let cancelled = false;
      const timer = setTimeout(() => {
        const fire = (): void => {
          if (!cancelled) run();
        };
        if (paused) due.push(fire);
        else fire();
      }, ms);
      timer.unref();
      return () => {
        cancelled = true;
        clearTimeout(timer);
      };
    },
    pause: () => void (paused = true),
    wake: () => {
      paused = false;
      for (const fire of due.splice(0)) fire();
    },
  };
}
