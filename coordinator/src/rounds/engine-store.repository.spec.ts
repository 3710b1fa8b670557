import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { decodeInstruction } from '@graft/protos/message-codec.adapter';

import { coordinatorIdentity } from '../compute/sealing.contract.js';
import { firstBrokenAudit } from '../store/audit.repository.js';
import { openStore, type Store } from '../store/open-store.driver.js';
import { engineStore } from './engine-store.repository.js';
import {
  constant,
  federation,
  masterKey,
  whenOver,
  type Federation,
  type FederationStore,
} from './federation.contract.js';
import type { StoredRun } from './material.js';
import type { MemoryContents } from './memory-engine-store.contract.js';

const clock = { nowMs: () => Date.now() };
let directory: string;
let store: Store;
let open: Federation<FederationStore> | undefined;

/** The real store, filled as the admin API and the enrolment fill it. */
async function databaseStore({ tasks, models, signingKeys }: MemoryContents): Promise<FederationStore> {
  const { db } = store;
  for (const table of [
    'outbox',
    'updates',
    'checkpoints',
    'rounds',
    'releases',
    'instructions',
    'runs',
    'tasks',
    'models',
    'agents',
  ] as const) {
    await db.deleteFrom(table).execute();
  }
  const json = JSON.stringify;
  const unused = json({ hash: '0'.repeat(64), sizeBytes: 0 });
  for (const [id, spec] of Object.entries(tasks)) {
    const row = {
      id,
      name: spec.name,
      kind: spec.kind,
      spec: json(spec),
      layout_hash: '',
      parameter_count: 0,
      created_at_ms: 0,
    };
    await db
      .insertInto('tasks')
      .values({ ...row, weights: unused, fp16: unused })
      .execute();
  }
  for (const [name, model] of Object.entries(models ?? {})) {
    const card = {
      name,
      description: 'a test',
      source: 'here',
      license: 'Apache-2.0',
      input: 'x',
      features: [],
      preprocessing: { kind: 'features', length: 4 },
    };
    const row = { id: name, name, card: json(card), graph: json(model.graph), weights: json(model.weights) };
    await db
      .insertInto('models')
      .values({ ...row, created_at_ms: 0 })
      .execute();
  }
  for (const [id, key] of Object.entries(signingKeys)) {
    const row = { id, name: id, state: 'active', certificate: '', created_at_ms: 0 };
    await db
      .insertInto('agents')
      .values({ ...row, signing_key: Buffer.from(key), agreement_key: Buffer.from(key) })
      .execute();
  }
  return {
    ...engineStore(db, { owner: 'test', identity: coordinatorIdentity, masterKey, clock }),
    stored: async (runId) =>
      (await db.selectFrom('runs').select('state').where('id', '=', runId).executeTakeFirstOrThrow())
        .state as StoredRun,
    unsettled: async (agentId) => {
      const rows = db.selectFrom('instructions').select('payload').where('agent_id', '=', agentId);
      const unsettled = await rows.where('settled_at_ms', 'is', null).orderBy('created_at_ms').execute();
      return unsettled.map(({ payload }) => decodeInstruction(payload));
    },
  };
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'graft-engine-store-'));
  store = await openStore({ kind: 'embedded', directory });
}, 60_000);

afterEach(async () => {
  await open?.close();
  open = undefined;
});

afterAll(async () => {
  await store.close();
  await rm(directory, { recursive: true });
});

const agents = { a: { delta: constant(1) }, b: { delta: constant(2) }, c: { delta: constant(3) } };

async function begin(): Promise<Federation<FederationStore>> {
  open = await federation(agents, { open: databaseStore });
  for (const id of Object.keys(agents)) await open.connect(id);
  return open;
}

describe('the engine over the embedded database', () => {
  it('runs a fit task and leaves records, checkpoints, releases and a whole audit log', async () => {
    const it = await begin();
    const runId = await it.rounds.start('fit', { seed: 1, rounds: 2 });
    const state = await whenOver(it, runId);
    expect([state.status, state.reason]).toEqual(['completed', '']);
    const { db } = store;
    const rounds = await db.selectFrom('rounds').selectAll().where('run_id', '=', runId).orderBy('round').execute();
    expect(rounds.map(({ round, phase }) => [round, phase])).toEqual([
      [1, 'committed'],
      [2, 'committed'],
    ]);
    expect(rounds[1]?.record).toMatchObject({ updates: { accepted: 3 }, gate: { passed: true, precision: 'int8' } });
    const checkpoints = await db.selectFrom('checkpoints').selectAll().orderBy('round').execute();
    expect(checkpoints.map(({ round }) => round)).toEqual([1, 2]);
    const releases = await db.selectFrom('releases').selectAll().orderBy('round').execute();
    expect(releases.map(({ id, precision }) => [id, precision])).toEqual([
      [`${runId}-r1`, 'int8'],
      [`${runId}-r2`, 'int8'],
    ]);
    expect(await it.store.lastRelease('fit')).toEqual({
      releaseId: `${runId}-r2`,
      accuracy: 0.9,
      worstSiteAccuracy: 0.9,
    });
    expect(await firstBrokenAudit(db)).toBeUndefined();
    const undone = await db.selectFrom('outbox').selectAll().where('done_at_ms', 'is', null).execute();
    expect(undone).toEqual([]);
  }, 60_000);

  it('goes on with a run whose engine was replaced, and refuses the writes of the one before', async () => {
    const it = await begin();
    const runId = await it.rounds.start('probe', { seed: 1 });
    await whenOver(it, runId, ({ round }) => round === 2);
    const before = it.rounds;
    await it.replaceEngine();
    const state = await whenOver(it, runId);
    expect([state.status, state.committedRounds]).toEqual(['completed', 3]);
    expect(await before.stop(runId, 'too late').catch((error: unknown) => error)).toMatchObject({ code: 'LEASE_LOST' });
    const { weights } = state.base;
    expect(weights.sizeBytes).toBeGreaterThan(4000);
  }, 60_000);
});
