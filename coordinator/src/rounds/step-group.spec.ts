import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';

import { coordinatorIdentity } from '../compute/sealing.contract.js';
import { openStore, type Store } from '../store/open-store.driver.js';
import { engineStore } from './engine-store.repository.js';
import type { EngineStore, StepToSave } from './engine-store.js';
import { masterKey } from './federation.contract.js';
import type { RunEvent } from './machine/event.js';
import { newRun, step } from './machine/machine.js';
import { checkpoint, planOf, updateOf } from './machine/scenario.contract.js';
import type { StoredRun } from './material.js';
import { memoryEngineStore } from './memory-engine-store.contract.js';
import { newRoundKey, publicRoundKey } from './round-keys.adapter.js';
import { endsGroup, maxGroup, reportBatches } from './step-group.js';

const agents = ['a', 'b', 'c', 'd', 'e', 'f'];
const roundKey = newRoundKey({ runId: '', round: 1 }, coordinatorIdentity, masterKey);

/** What agents say in a round of six, in any order, more than once, and with a deadline between. */
const saidArbitrary = fc.array(
  fc.record({
    agent: fc.constantFrom(...agents),
    kind: fc.constantFrom('update', 'update', 'update', 'refused', 'again', 'failure', 'lost', 'time'),
    ms: fc.constantFrom(0, 0, 0, 1, 200),
  }),
  { minLength: 1, maxLength: 30 },
);
type Said = typeof saidArbitrary extends fc.Arbitrary<infer T> ? T : never;

function firstRun(taskId: string): StoredRun {
  const plan = planOf({ runId: randomUUID(), taskId, kind: 'probe', cohort: { min: 2, goal: 6, max: 6 } });
  const machine = newRun(plan, checkpoint(0), { atMs: 1000 });
  const material = { kind: 'probe', taskId, layoutHash: 'x', parameterCount: 1, add: 1 } as const;
  return { machine, material, roundKey, transferred: { round: 1, agents: {} } };
}

function eventOf({ agent, kind }: Said[number], i: number, atMs: number): RunEvent {
  const of = { agentId: agent, round: 1, atMs };
  if (kind === 'failure') return { ...of, kind: 'failureReported', code: 'E', message: 'no data' };
  if (kind === 'lost') return { kind: 'agentLost', agentId: agent, atMs };
  if (kind === 'time') return { kind: 'timePassed', active: [], atMs };
  const update = updateOf(kind === 'again' ? `${agent}-0` : `${agent}-${i % 2}`);
  const refusal = { reason: 'not-finite', message: 'not finite' } as const;
  return { ...of, kind: 'updateReceived', update, ...(kind === 'refused' && { refusal }) };
}

/** The steps of a run, in groups as its owner makes them. */
function groupsOf(run: StoredRun, said: Said): StepToSave[][] {
  const groups: StepToSave[][] = [];
  let state = run.machine;
  let atMs = 1000;
  let isOpen = false;
  const take = (event: RunEvent): void => {
    const result = step(state, event);
    const nonce = event.kind === 'updateReceived' ? event.update.nonce : undefined;
    const context = nonce !== undefined && 'agentId' in event && { report: reportOf(event.agentId, nonce) };
    const each = { result, context: context || {} };
    if (isOpen) groups.at(-1)?.push(each);
    else groups.push([each]);
    isOpen = !endsGroup(state, result) && (groups.at(-1)?.length ?? 0) < maxGroup;
    state = result.state;
  };
  take({ kind: 'started', connected: agents, atMs });
  for (const [i, each] of said.entries()) {
    if (state.phase !== 'training') break;
    take(eventOf(each, i, (atMs += each.ms)));
  }
  return groups;
}

const reportOf = (agentId: string, nonce: string) => ({
  agentId,
  round: 1,
  nonce,
  manifest: new Uint8Array([1]),
  ciphertext: { hash: 'c'.repeat(64), sizeBytes: 77 },
  exampleCount: 10,
});

async function saveAll(store: EngineStore, run: StoredRun, groups: readonly StepToSave[][]): Promise<void> {
  const lease = await store.create(run);
  let before = run;
  for (const group of groups) before = (await store.save(lease, before, group)).run;
}

/** Saves one by one, and in groups; answers how many were grouped. */
async function saveBoth(said: Said, taskId: string, openEach: () => EngineStore): Promise<[string, string, number]> {
  const [single, grouped] = [firstRun(taskId), firstRun(taskId)];
  const groups = groupsOf(grouped, said);
  await saveAll(
    openEach(),
    single,
    groupsOf(single, said)
      .flat()
      .map((each) => [each]),
  );
  await saveAll(openEach(), grouped, groups);
  return [single.machine.plan.runId, grouped.machine.plan.runId, groups.flat().length - groups.length];
}

describe('steps that are stored together', () => {
  it('leave in memory what they leave one by one', async () => {
    let shared = 0;
    await fc.assert(
      fc.asyncProperty(saidArbitrary, async (said) => {
        const stores: ReturnType<typeof memoryEngineStore>[] = [];
        const [one, other, merged] = await saveBoth(said, 'task', () => {
          let id = 0;
          const newId = (): string => String((id += 1));
          const sources = { newId, newRoundKey: () => roundKey, publicRoundKey, signRelease: () => new Uint8Array(64) };
          const store = memoryEngineStore({ tasks: {}, signingKeys: {} }, sources);
          stores.push(store);
          return store;
        });
        shared += merged;
        const [left, right] = stores.map(({ rows }) =>
          JSON.stringify({ ...rows, runs: [...rows.runs.values()], records: [...rows.records.values()] }),
        );
        expect(right?.replaceAll(other, 'run')).toBe(left?.replaceAll(one, 'run'));
      }),
      { numRuns: 50 },
    );
    expect(shared).toBeGreaterThan(50);
  });

  it('name no update twice in one statement', () => {
    const update = { accepted: true, reason: '' };
    const group = ['x', 'y', 'x', 'z', 'x'].map((nonce) => {
      const run = firstRun('task');
      const round = { round: 1, phase: 'training', startedAtMs: 0, record: undefined as never };
      const none = { outbox: [], settlements: [], instructions: [], postponements: [], quarantines: [], events: [] };
      return { rows: { run, atMs: 1, round, update, ...none }, context: { report: reportOf('a', nonce) } };
    });
    const nonces = reportBatches(group).map((batch) => batch.map(({ report }) => report.nonce));
    expect(nonces).toEqual([['x', 'y'], ['x', 'z'], ['x']]);
  });
});

describe('steps that are stored together in the database', () => {
  let directory: string;
  let store: Store;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'graft-step-group-'));
    store = await openStore({ kind: 'embedded', directory });
  }, 60_000);

  afterAll(async () => {
    await store.close();
    await rm(directory, { recursive: true });
  });

  /** All that is stored of a run, but for what is given anew each time: numbers, ids and keys. */
  async function contents(runId: string): Promise<unknown> {
    const { db } = store;
    const run = await db.selectFrom('runs').select(['state', 'open']).where('id', '=', runId).executeTakeFirstOrThrow();
    const outbox = await db
      .selectFrom('outbox')
      .select(['effect', 'created_at_ms', 'done_at_ms'])
      .where('run_id', '=', runId)
      .orderBy('seq')
      .execute();
    const rounds = await db.selectFrom('rounds').selectAll().where('run_id', '=', runId).orderBy('round').execute();
    const updates = await db
      .selectFrom('updates')
      .selectAll()
      .where('run_id', '=', runId)
      .orderBy('agent_id')
      .orderBy('nonce')
      .execute();
    const instructions = await db
      .selectFrom('instructions')
      .select(['agent_id', 'round', 'kind', 'created_at_ms', 'settled_at_ms'])
      .where('run_id', '=', runId)
      .orderBy('id')
      .execute();
    const events = await db
      .selectFrom('events')
      .select(['at_ms', 'kind', 'data'])
      .where('run_id', '=', runId)
      .orderBy('seq')
      .execute();
    const { roundKey: key, ...state } = run.state as StoredRun;
    const all = { state, round: key?.round, open: run.open, outbox, rounds, updates, instructions, events };
    return JSON.parse(JSON.stringify(all).replaceAll(runId, 'run'));
  }

  it('leave what they leave one by one', async () => {
    const taskId = randomUUID();
    const json = { spec: '{}', weights: '{}', fp16: '{}' };
    const row = { id: taskId, name: taskId, kind: 'probe', layout_hash: '', parameter_count: 1, created_at_ms: 1 };
    await store.db
      .insertInto('tasks')
      .values({ ...row, ...json })
      .execute();
    const clock = { nowMs: () => 5000 };
    const engine = engineStore(store.db, { owner: 'one', identity: coordinatorIdentity, masterKey, clock });
    let shared = 0;
    await fc.assert(
      fc.asyncProperty(saidArbitrary, async (said) => {
        const [one, other, merged] = await saveBoth(said, taskId, () => engine);
        shared += merged;
        expect(await contents(other)).toEqual(await contents(one));
      }),
      { numRuns: 15, endOnFailure: true },
    );
    expect(shared).toBeGreaterThan(10);
  }, 120_000);
});
