/** What the admin API and enrolment read and write, on the embedded database. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { apiKeys } from '../access/api-keys.repository.js';
import { agentDirectory, agentsRepository } from '../agents/agents.repository.js';
import type { Agents } from '../agents/agents.js';
import type { ModelWork } from '../compute/model-work.js';
import type { NewAgent } from '../enrolment/enrol.js';
import type { EnrolmentTokens } from '../enrolment/enrolment-tokens.js';
import { tokenRedemption, tokensRepository } from '../enrolment/tokens.repository.js';
import { storedEvents } from '../events/events.repository.js';
import { unsettledInstructions } from '../federation/instructions.repository.js';
import { memoryBlobs } from '../federation/memory-blobs.contract.js';
import { modelsRepository } from '../models/models.repository.js';
import { firstBrokenAudit } from '../store/audit.repository.js';
import { openStore, type Store } from '../store/open-store.driver.js';
import { storedMetrics } from '../system/collected/stored.repository.js';
import { tasksRepository } from '../tasks/tasks.repository.js';
import { encodeInstruction } from '@graft/protos/message-codec.adapter';
import { fitTaskSchema, probeTaskSchema } from '@graft/models/pipeline/task-spec';

let directory: string;
let store: Store;
let nowMs = 1_000_000;
const clock = { nowMs: () => nowMs };

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'graft api '));
  store = await openStore({ kind: 'embedded', directory });
}, 120_000);

afterAll(async () => {
  await store.close();
  await rm(directory, { recursive: true });
});

const newAgent = (id: string): NewAgent => ({
  id,
  signingKey: new Uint8Array(32).fill(1),
  agreementKey: new Uint8Array(32).fill(2),
  certificate: 'PEM',
  version: '0.1.0',
  atMs: nowMs,
});

const tokens = (): EnrolmentTokens =>
  tokensRepository({ db: store.db, clock, server: () => 'hub:9091', fingerprint: 'sha256:ab' });
const redemption = () => tokenRedemption(store.db);
const audited = async (): Promise<string[]> =>
  (await store.db.selectFrom('audit').select('action').orderBy('seq').execute()).map(({ action }) => action);

test('an API key is known by its hash alone', async () => {
  const keys = apiKeys(store.db, clock);
  expect(await keys.none()).toBe(true);
  await keys.add('graft_key_secret', { name: 'first', role: 'admin' }, 'test');
  expect(await keys.none()).toBe(false);
  expect(await keys.callerOf('graft_key_secret')).toMatchObject({ name: 'first', role: 'admin' });
  expect(await keys.callerOf('graft_key_other')).toBeUndefined();
  expect(JSON.stringify(await store.db.selectFrom('api_keys').selectAll().execute())).not.toContain('secret');
});

test('a key is made for a role and revoked; the last admin key cannot be', async () => {
  const keys = apiKeys(store.db, clock);
  const made = await keys.create({ name: 'looker', role: 'viewer' }, 'first');
  expect(await keys.callerOf(made.key)).toMatchObject({ name: 'looker', role: 'viewer' });
  expect(JSON.stringify(await keys.list())).not.toContain(made.key);
  await keys.revoke(made.id, 'first');
  expect(await keys.callerOf(made.key)).toBeUndefined();
  const [first] = await keys.list();
  await expect(keys.revoke(first?.id ?? '', 'first')).rejects.toMatchObject({
    code: 'INVALID_REQUEST',
    message: expect.stringContaining('last admin'),
  });
  await expect(keys.revoke('nothing', 'first')).rejects.toMatchObject({ code: 'NOT_FOUND' });
});

describe('enrolment tokens', () => {
  test('a token is shown once, with the line to type, and redeemed once', async () => {
    const invite = await tokens().create({ name: 'lund', expiresInMs: 1_000, approval: false }, 'first');
    expect(invite.command).toBe(`graft-agent enroll --server hub:9091 --token ${invite.token} --fingerprint sha256:ab`);
    expect(JSON.stringify(await tokens().list())).not.toContain(invite.token);
    await redemption().checkToken(invite.token, nowMs);
    const both = await Promise.allSettled([
      redemption().redeem(invite.token, newAgent('agent-a')),
      redemption().redeem(invite.token, newAgent('agent-b')),
    ]);
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect((await tokens().list())[0]).toMatchObject({
      name: 'lund',
      state: 'used',
      agentId: expect.stringMatching(/^agent-[ab]$/u),
    });
    await expect(redemption().checkToken(invite.token, nowMs)).rejects.toMatchObject({
      code: 'TOKEN_INVALID',
      message: expect.stringContaining('used'),
    });
    expect(await store.db.selectFrom('agents').select('name').where('name', '=', 'lund').execute()).toHaveLength(1);
    expect((await audited()).slice(-2)).toEqual(['token.created', 'agent.enrolled']);
  });

  test('an expired, a revoked and an unknown token are refused', async () => {
    const late = await tokens().create({ name: 'late', expiresInMs: 1_000, approval: false }, 'first');
    const revoked = await tokens().create({ name: 'revoked', expiresInMs: 9_000, approval: false }, 'first');
    expect(await tokens().revoke(revoked.id, 'first')).toMatchObject({ state: 'revoked' });
    nowMs += 1_001;
    for (const [token, why] of [
      [late.token, 'expired'],
      [revoked.token, 'revoked'],
      ['guess', 'not known'],
    ] as const) {
      await expect(redemption().checkToken(token, nowMs)).rejects.toMatchObject({
        code: 'TOKEN_INVALID',
        message: expect.stringContaining(why),
      });
      await expect(redemption().redeem(token, newAgent('agent-x'))).rejects.toMatchObject({ code: 'TOKEN_INVALID' });
    }
    await expect(tokens().revoke('nothing', 'first')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('the name of an agent that is in is taken', async () => {
    await expect(tokens().create({ name: 'lund', expiresInMs: 1_000, approval: false }, 'first')).rejects.toMatchObject(
      { code: 'ALREADY_EXISTS' },
    );
  });
});

describe('agents', () => {
  const disconnected: string[] = [];
  const changed: string[] = [];
  const agents = (): Agents =>
    agentsRepository({
      db: store.db,
      online: () => new Map([['agent-p', { paused: '' }]]),
      activity: () =>
        new Map([['agent-p', { runId: 'r', round: 2, activity: 'training', progress: 0.5, loss: 1, atMs: 5 }]]),
      disconnect: (agentId) => void disconnected.push(agentId),
      changed: async (agentId) => void changed.push(agentId),
      clock,
    });

  test('a site that needs approval waits for it; what it says of itself is shown', async () => {
    const invite = await tokens().create({ name: 'oslo', expiresInMs: 1_000, approval: true }, 'first');
    await redemption().redeem(invite.token, newAgent('agent-p'));
    const known = agentDirectory(store.db);
    expect(await known.find('agent-p')).toEqual({ id: 'agent-p', name: 'oslo', state: 'pending' });
    await known.seen('agent-p', {
      atMs: 77,
      version: '9.9',
      capabilities: { device: 'cpu', threads: 2, trainingExamples: 90, heldOutExamples: 10 },
    });
    expect(await agents().approve('oslo', 'first')).toMatchObject({
      id: 'agent-p',
      state: 'active',
      connected: true,
      lastSeenAtMs: 77,
      agentVersion: '9.9',
      capabilities: { trainingExamples: 90 },
      activity: { activity: 'training' },
    });
    expect((await agents().list()).map(({ name }) => name)).toEqual(['lund', 'oslo']);
  });

  test('the operator’s tags are replaced as a whole, in order and once, and the runs are told', async () => {
    expect(await agents().tag('oslo', ['icu', 'big', 'icu'], 'first')).toMatchObject({ tags: ['big', 'icu'] });
    expect(await agents().tag('oslo', ['icu'], 'first')).toMatchObject({ tags: ['icu'] });
    expect(changed).toEqual(['agent-p', 'agent-p']);
    expect((await audited()).slice(-2)).toEqual(['agent.tagged', 'agent.tagged']);
    await expect(agents().tag('nowhere', [], 'first')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('a revoked agent is disconnected and its name is free again', async () => {
    expect(await agents().revoke('oslo', 'first')).toMatchObject({ state: 'revoked' });
    expect(disconnected).toEqual(['agent-p']);
    expect(await agentDirectory(store.db).find('agent-p')).toMatchObject({ state: 'revoked' });
    await expect(agents().approve('agent-p', 'first')).rejects.toMatchObject({ code: 'AGENT_REVOKED' });
    expect(await tokens().create({ name: 'oslo', expiresInMs: 1_000, approval: false }, 'first')).toMatchObject({
      name: 'oslo',
    });
    await expect(agents().get('nowhere')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect((await audited()).slice(-2)).toEqual(['agent.revoked', 'token.created']);
    expect(await firstBrokenAudit(store.db)).toBeUndefined();
  });
});

describe('models and tasks', () => {
  const blobs = memoryBlobs();
  const models = () => modelsRepository(store.db, blobs, clock);
  const prepared: string[] = [];
  const work: Pick<ModelWork, 'prepare'> = {
    prepare: async ({ task, taskId }) => {
      prepared.push(task.name);
      const ref = { hash: 'a'.repeat(64), sizeBytes: 1 };
      const shared = { taskId, layoutHash: 'b'.repeat(64), parameterCount: 7 };
      return { material: { kind: 'probe', ...shared, add: 1 }, base: { round: 0, weights: ref, fp16: ref } };
    },
  };
  const tasks = () => tasksRepository({ db: store.db, models: models(), work, blobs, clock });
  const card = {
    name: 'reader',
    description: 'd',
    source: 's',
    license: 'MIT',
    input: 'x',
    features: [],
    preprocessing: { kind: 'features', length: 3 } as const,
  };

  test('a model is registered once its blobs are there, and again without change', async () => {
    const missing = { hash: 'c'.repeat(64), sizeBytes: 3 };
    await expect(models().register({ card, graph: missing, weights: missing })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('PUT /blobs/'),
    });
    const [graph, weights] = [await blobs.put(new Uint8Array([1])), await blobs.put(new Uint8Array([2, 2]))];
    await expect(models().register({ card, graph: { ...graph, sizeBytes: 9 }, weights })).rejects.toMatchObject({
      code: 'INVALID_REQUEST',
    });
    const model = await models().register({ card, graph, weights });
    expect(await models().register({ card, graph, weights })).toEqual(model);
    expect(await models().get('reader')).toEqual(await models().get(model.id));
    await expect(models().register({ card, graph: weights, weights })).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
    });
  });

  const shared = { rounds: 2, cohort: { min: 1, goal: 1, max: 1 }, windowMs: 1000 };

  test('a task is prepared before it is stored, once', async () => {
    const spec = probeTaskSchema.parse({ ...shared, name: 'probe', kind: 'probe', parameters: 7, add: 1 });
    const task = await tasks().create(spec);
    expect(task).toMatchObject({ name: 'probe', kind: 'probe', parameterCount: 7, spec });
    expect(await tasks().create(spec)).toEqual(task);
    expect(prepared).toEqual(['probe']);
    await expect(tasks().create({ ...spec, rounds: 3 })).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    expect(await tasks().get('probe')).toEqual(await tasks().get(task.id));
  });

  test('a task of an unknown model, or with hold-out data that are not there, is not stored', async () => {
    const spec = fitTaskSchema.parse({
      ...shared,
      name: 'fit',
      kind: 'fit',
      model: 'nobody',
      features: 'f',
      labels: ['a', 'b'],
      scope: 'head',
      preprocessing: card.preprocessing,
      training: { loss: 'softmax-cross-entropy', optimizer: 'sgd', learningRate: 1, epochs: 1, batchSize: 1 },
    });
    await expect(tasks().create(spec)).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('nobody'),
    });
    await expect(tasks().create({ ...spec, model: 'reader', holdOut: 'd'.repeat(64) })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('hold-out'),
    });
    await expect(tasks().get('fit')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

test('unsettled instructions come oldest first with their own ids; events after a number', async () => {
  const payload = Buffer.from(
    encodeInstruction({ id: 'inside', kind: 'cancel', cancel: { runId: 'r', round: 1, reason: 'x' } }),
  );
  const row = { agent_id: 'agent-i', run_id: 'r', round: 1, kind: 'cancel', payload };
  const { id: taskId } = await store.db.selectFrom('tasks').select('id').executeTakeFirstOrThrow();
  await store.db
    .insertInto('runs')
    .values({
      id: 'r',
      task_id: taskId,
      open: true,
      state: '{"machine":{"status":"running"}}',
      version: 1,
      fence: 1,
      created_at_ms: 1,
    })
    .execute();
  await store.db
    .insertInto('instructions')
    .values([
      { ...row, id: 'i2', created_at_ms: 2 },
      { ...row, id: 'i1', created_at_ms: 1 },
      { ...row, id: 'i0', created_at_ms: 0, settled_at_ms: 5 },
      { ...row, id: 'other', agent_id: 'someone', created_at_ms: 0 },
    ])
    .execute();
  expect((await unsettledInstructions(store.db)('agent-i')).map(({ id, kind }) => [id, kind])).toEqual([
    ['i1', 'cancel'],
    ['i2', 'cancel'],
  ]);
  await store.db
    .insertInto('events')
    .values([
      { at_ms: 1, kind: 'k', data: '{"a":1}' },
      { at_ms: 2, kind: 'l', run_id: 'r', data: '{}' },
    ])
    .execute();
  const all = await storedEvents(store.db)(0, 10);
  expect(all).toMatchObject([
    { kind: 'k', data: { a: 1 } },
    { kind: 'l', runId: 'r' },
  ]);
  expect(await storedEvents(store.db)(all[0]?.seq ?? 0, 10)).toHaveLength(1);
  expect(await storedMetrics(store.db).counts(0)).toEqual({
    runs: { running: 1 },
    rounds: {},
    updates: {},
    outbox: 0,
    instructions: 3,
    inbox: 0,
    quarantined: {},
  });
});
