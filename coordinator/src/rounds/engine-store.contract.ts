/** What the engine's store keeps on every database: a step is stored whole or not at all, by the owner of the run alone. */
import { randomUUID } from 'node:crypto';

import type { KyselyPlugin } from 'kysely';

import { coordinatorIdentity } from '../compute/sealing.contract.js';
import { unsettledInstructions } from '../federation/instructions.repository.js';
import { firstBrokenAudit } from '../store/audit.repository.js';
import type { Store } from '../store/open-store.driver.js';
import type { Database } from '../store/schema.js';
import { engineStore } from './engine-store.repository.js';
import type { EngineStore, EventContext, Lease, ReportedUpdate, Saved } from './engine-store.js';
import { acceptedVerdict, refusedVerdict, type Effect } from './machine/effect.js';
import { newRun } from './machine/machine.js';
import { checkpoint, planOf } from './machine/scenario.contract.js';
import type { RunState } from './machine/state.js';
import type { StoredRun } from './material.js';
import { newRoundKey } from './round-keys.adapter.js';

const clock = { nowMs: () => 5_000 };
const masterKey = new Uint8Array(32).fill(3);

const roundKey = newRoundKey({ runId: 'run', round: 1 }, coordinatorIdentity, masterKey);

/** The store as the coordinator `owner` sees it. */
const seenBy = (owner: string, db: Store['db']): EngineStore =>
  engineStore(db, { owner, identity: coordinatorIdentity, masterKey, clock });

const advance: Effect = { kind: 'advance', round: 1, attempt: 1 };
const sendTrain = (agentIds: readonly string[], deadlineMs = 9_000): Effect => ({
  kind: 'sendTrain',
  agentIds,
  deadlineMs,
});
const train = sendTrain(['a', 'b']);
const published: Effect = { kind: 'publish', event: 'tested', data: {} };
const commit: Effect = { kind: 'commit', installAt: [] };

/** A step of every kind of row at once. */
const everything: readonly Effect[] = [train, published, commit, advance];

interface Begun {
  readonly store: EngineStore;
  readonly run: StoredRun;
  readonly lease: Lease;
  readonly runId: string;
}

async function begin({ db }: Store, owner = 'one'): Promise<Begun> {
  const [runId, taskId] = [randomUUID(), randomUUID()];
  const json = { spec: '{}', weights: '{}', fp16: '{}' };
  await db
    .insertInto('tasks')
    .values({ id: taskId, name: taskId, kind: 'probe', layout_hash: '', parameter_count: 1, created_at_ms: 1, ...json })
    .execute();
  const plan = planOf({ runId, taskId, kind: 'probe' });
  const agents = { a: { connected: true }, b: { connected: true } };
  const machine: RunState = { ...newRun(plan, checkpoint(0), { atMs: 1_000 }), agents };
  const material = { kind: 'probe', taskId, layoutHash: 'x', parameterCount: 1, add: 1 } as const;
  const run: StoredRun = { machine, material, roundKey, transferred: { round: 1, agents: {} } };
  const store = seenBy(owner, db);
  return { store, run, runId, lease: await store.create(run) };
}

interface SaveOptions extends EventContext {
  readonly change?: Partial<RunState>;
  readonly refused?: boolean;
}

/** Saves a step with these effects. */
function save(
  { store, lease }: Pick<Begun, 'store' | 'lease'>,
  run: StoredRun,
  effects: readonly Effect[],
  { change = {}, refused, ...context }: SaveOptions = {},
): Promise<Saved> {
  const verdict = refused === undefined ? {} : { verdict: refused ? refusedVerdict('late', '') : acceptedVerdict };
  const state = { ...run.machine, atMs: run.machine.atMs + 1, ...change };
  return store.save(lease, run, [{ result: { state, effects, ...verdict }, context }]);
}

const reportOf = (nonce: string, agentId = 'a'): { agentId: string; round: number } & ReportedUpdate => ({
  agentId,
  round: 1,
  nonce,
  manifest: new Uint8Array([1, 2, 0, 255]),
  ciphertext: { hash: 'c'.repeat(64), sizeBytes: 77 },
  exampleCount: 10,
});

const tables = ['outbox', 'rounds', 'updates', 'checkpoints', 'instructions', 'events'] as const;

/** All that is stored of a run. */
async function contents({ db }: Store, runId: string): Promise<Record<string, unknown>> {
  const run = await db.selectFrom('runs').selectAll().where('id', '=', runId).execute();
  const rows = await Promise.all(
    tables.map((table) =>
      db
        .selectFrom(table as 'outbox')
        .selectAll()
        .where('run_id', '=', runId)
        .execute(),
    ),
  );
  const audit = await db.selectFrom('audit').select('seq').execute();
  return { run, audit: audit.length, ...Object.fromEntries(tables.map((table, i) => [table, rows[i]])) };
}

export function engineStoreContract(store: () => Store): void {
  describe('the engine', () => {
    steps(store);
    leases(store);
    outbox(store);
    updates(store);
    instructions(store);
  });
}

/** The n-th statement fails, as where the connection breaks. */
function breaksAt(nth: number): KyselyPlugin & { statements(): number } {
  let statements = 0;
  return {
    statements: () => statements,
    transformQuery: ({ node }) => {
      if (statements++ === nth) throw new Error('the connection broke');
      return node;
    },
    transformResult: async ({ result }) => result,
  };
}

function steps(store: () => Store): void {
  test('a step whose n-th statement fails leaves nothing behind, for every n', async () => {
    const { run, lease, runId, store: whole } = await begin(store());
    const {
      outbox: [row],
    } = await save({ store: whole, lease }, run, [advance]);
    const before = await contents(store(), runId);
    const full: SaveOptions = {
      change: { candidate: checkpoint(1), phase: 'committed' },
      refused: false,
      report: reportOf('n'),
      ...(row && { doneSeq: row.seq }),
    };
    let reached = 0;
    for (let nth = 0, broke = true; broke; nth++) {
      const breaking = breaksAt(nth);
      const broken = seenBy('one', store().db.withPlugin(breaking));
      const outcome = await save({ store: broken, lease }, run, everything, full).then(
        () => 'stored',
        (error: unknown) => String(error),
      );
      broke = breaking.statements() > nth;
      expect(outcome).toBe(broke ? 'Error: the connection broke' : 'stored');
      if (broke) expect(await contents(store(), runId)).toEqual(before);
      reached = nth;
    }
    // State, outbox done, settlement, instructions, round, update, checkpoint, audit (lock, last, row), events, outbox.
    expect(reached).toBe(12);
    const after = await contents(store(), runId);
    expect(Object.keys(before).filter((key) => JSON.stringify(before[key]) === JSON.stringify(after[key]))).toEqual([]);
    expect(await firstBrokenAudit(store().db)).toBeUndefined();
  });

  test('a row that the database refuses takes the whole step back', async () => {
    const { run, lease, runId, store: engine } = await begin(store());
    const before = await contents(store(), runId);
    const report = { ...reportOf('n'), exampleCount: 2 ** 70 };
    await expect(save({ store: engine, lease }, run, everything, { report, refused: false })).rejects.toThrow();
    expect(await contents(store(), runId)).toEqual(before);
  });

  test('a round is committed once', async () => {
    const begun = await begin(store());
    const change = { candidate: checkpoint(1) };
    await save(begun, begun.run, [commit], { change });
    const before = await contents(store(), begun.runId);
    await expect(save(begun, begun.run, [commit, advance], { change })).rejects.toMatchObject({ code: '23505' });
    expect(await contents(store(), begun.runId)).toEqual(before);
  });

  test('the run is what was saved last', async () => {
    const begun = await begin(store());
    const saved = await save(begun, begun.run, [train], { change: { round: 2, status: 'waiting' } });
    expect(saved.run.roundKey).toMatchObject({ round: 2, publicKey: expect.stringMatching(/^[0-9a-f]{64}$/u) });
    expect([...saved.wake].sort()).toEqual(['a', 'b']);
    const claimed = (await begun.store.claimAll()).find(({ lease }) => lease.runId === begun.runId);
    expect(claimed?.run).toEqual(saved.run);
  });
}

function leases(store: () => Store): void {
  const fences = async (engine: EngineStore, ...runIds: readonly string[]): Promise<(number | undefined)[]> => {
    const claimed = new Map((await engine.claimAll()).map(({ lease }) => [lease.runId, lease.fence]));
    return runIds.map((runId) => claimed.get(runId));
  };
  const expire = (runId: string) =>
    store().db.updateTable('runs').set({ lease_expires_at_ms: 1 }).where('id', '=', runId).execute();

  test('who comes back takes its own runs and those whose leases ran out, and no others', async () => {
    const [own, held, expired, closed] = [
      await begin(store(), 'one'),
      await begin(store(), 'two'),
      await begin(store(), 'two'),
      await begin(store(), 'one'),
    ];
    await save(closed, closed.run, [], { change: { status: 'completed' } });
    await expire(expired.runId);
    const ids = [own, held, expired, closed].map(({ runId }) => runId);
    expect(await fences(seenBy('one', store().db), ...ids)).toEqual([2, undefined, 2, undefined]);
    await held.store.giveBack([held.lease]);
    expect(await fences(seenBy('one', store().db), held.runId)).toEqual([2]);
  });

  test('two that claim at once share the runs', async () => {
    const begun = await Promise.all(Array.from({ length: 6 }, () => begin(store(), 'gone')));
    for (const { runId } of begun) await expire(runId);
    const ids = begun.map(({ runId }) => runId);
    const [left, right] = await Promise.all(['left', 'right'].map((name) => fences(seenBy(name, store().db), ...ids)));
    for (const [i] of ids.entries())
      expect([left?.[i], right?.[i]].filter((fence) => fence !== undefined)).toEqual([2]);
  });

  test('who lost its lease writes nothing any more', async () => {
    const begun = await begin(store(), 'two');
    await expire(begun.runId);
    expect(await fences(seenBy('one', store().db), begun.runId)).toEqual([2]);
    const before = await contents(store(), begun.runId);
    const late = save(begun, begun.run, everything, { change: { candidate: checkpoint(1) } });
    await expect(late).rejects.toMatchObject({ code: 'LEASE_LOST', message: expect.stringContaining(begun.runId) });
    await begun.store.giveBack([begun.lease]);
    expect(await contents(store(), begun.runId)).toEqual(before);
  });

  test('renewing tells which leases are lost, and keeps the others', async () => {
    const [kept, lost] = [await begin(store(), 'two'), await begin(store(), 'two')];
    await expire(lost.runId);
    await fences(seenBy('one', store().db), lost.runId);
    await expire(kept.runId);
    const unknown = { runId: randomUUID(), fence: 1 };
    expect(await kept.store.renew([kept.lease, lost.lease, unknown])).toEqual([lost.lease, unknown]);
    expect(await fences(seenBy('one', store().db), kept.runId, lost.runId)).toEqual([undefined, 3]);
  });
}

function outbox(store: () => Store): void {
  test('what was asked for is undone, oldest first, until the step that it results in', async () => {
    const begun = await begin(store());
    const aggregate: Effect = { kind: 'aggregate', round: 1, attempt: 1, agentIds: ['a'] };
    const first = await save(begun, begun.run, [aggregate, advance]);
    expect(await begun.store.undone(begun.runId)).toEqual(first.outbox);
    expect(first.outbox.map(({ effect }) => effect)).toEqual([aggregate, advance]);
    const [done, open] = first.outbox;
    if (done === undefined || open === undefined) throw new Error('nothing was asked for');
    expect([done.seq < open.seq, Number.isSafeInteger(done.seq)]).toEqual([true, true]);
    await save(begun, first.run, [], { doneSeq: done.seq });
    expect(await begun.store.undone(begun.runId)).toEqual([open]);
    expect(await begun.store.undone(randomUUID())).toEqual([]);
  });
}

function updates(store: () => Store): void {
  const stored = (runId: string) => store().db.selectFrom('updates').selectAll().where('run_id', '=', runId).execute();

  test('an update that is reported again is one row, and once accepted stays so', async () => {
    const begun = await begin(store());
    const of = { runId: begun.runId, round: 1, agentId: 'a', nonce: 'n1' };
    for (const [refused, accepted] of [
      [true, false],
      [false, true],
      [true, true],
    ] as const) {
      await save(begun, begun.run, [], { report: reportOf('n1'), refused });
      expect(await stored(begun.runId)).toMatchObject([{ nonce: 'n1', accepted, reason: accepted ? '' : 'late' }]);
      expect(await begun.store.wasAccepted(of)).toBe(accepted);
    }
    expect(await begun.store.wasAccepted({ ...of, agentId: 'b' })).toBe(false);
    expect(await begun.store.wasAccepted({ ...of, round: 2 })).toBe(false);
  });

  test('the accepted ones that are asked for come in the order of their agents, byte by byte', async () => {
    const begun = await begin(store());
    for (const agentId of ['b', 'a', 'B', 'ä', '_']) {
      await save(begun, begun.run, [], { report: reportOf(`n-${agentId}`, agentId), refused: agentId === 'b' });
    }
    const nonces = ['n-b', 'n-a', 'n-B', 'n-ä', 'n-other'];
    const found = await begun.store.updates(begun.runId, 1, nonces);
    expect(found.map(({ agentId }) => agentId)).toEqual(['B', 'a', 'ä']);
    expect(found[0]).toMatchObject({ nonce: 'n-B', exampleCount: 10, ciphertext: reportOf('').ciphertext });
    expect([...(found[0]?.manifest ?? [])]).toEqual([1, 2, 0, 255]);
    expect(await begun.store.updates(begun.runId, 1, [])).toEqual([]);
  });
}

function instructions(store: () => Store): void {
  const unsettled = async (agentId: string) => unsettledInstructions(store().db)(agentId);

  /** A run with one agent of its own that has been asked to train. */
  async function asked(): Promise<Begun & { readonly agentId: string }> {
    const begun = await begin(store());
    const agentId = randomUUID();
    const change = { agents: { [agentId]: { connected: true } } };
    const { run } = await save(begun, begun.run, [sendTrain([agentId])], { change });
    return { ...begun, run, agentId };
  }

  test('a plan is unsettled until its report is in; a later deadline moves it', async () => {
    const { agentId, run, ...begun } = await asked();
    const [plan] = await unsettled(agentId);
    expect(plan).toMatchObject({ kind: 'train', train: { runId: begun.runId, deadlineMs: 9_000 } });
    await save(begun, run, [{ kind: 'postpone', agentIds: [agentId], work: 'train', deadlineMs: 12_345.5 }]);
    expect(await unsettled(agentId)).toMatchObject([{ id: plan?.id, kind: 'train', train: { deadlineMs: 12_346 } }]);
    await save(begun, run, [{ kind: 'settle', agentIds: [agentId], work: 'train' }]);
    expect(await unsettled(agentId)).toEqual([]);
  });

  test('cancelling settles the plan and says so; the next plan settles the cancel', async () => {
    const { agentId, run, ...begun } = await asked();
    await save(begun, run, [{ kind: 'cancel', agentIds: [agentId], reason: 'enough' }]);
    expect(await unsettled(agentId)).toMatchObject([{ kind: 'cancel', cancel: { reason: 'enough' } }]);
    await save(begun, run, [sendTrain([agentId])]);
    expect((await unsettled(agentId)).map(({ kind }) => kind)).toEqual(['train']);
  });

  test('an instruction is known to its own agent alone; an install is settled once, with one event', async () => {
    const { agentId, runId, store: engine } = await asked();
    const [plan] = await unsettled(agentId);
    const id = plan?.id ?? '';
    expect(await engine.instruction(id, agentId)).toEqual({ kind: 'train' });
    expect(await engine.instruction(id, 'other')).toBeUndefined();
    const told = (): Promise<Pick<Database['events'], 'kind'>[]> =>
      store().db.selectFrom('events').select('kind').where('run_id', '=', runId).execute();
    await engine.settleInstall(id, 'other', {});
    expect(await told()).toEqual([]);
    await Promise.all([engine.settleInstall(id, agentId, {}), engine.settleInstall(id, agentId, { failed: 'no' })]);
    expect(await told()).toHaveLength(1);
    expect(await unsettled(agentId)).toEqual([]);
  });

  test('instructions of one moment are sent in the order in which they were given', async () => {
    const { agentId, run, ...begun } = await asked();
    const moment = { atMs: run.machine.atMs, agents: run.machine.agents };
    const all = store().db.updateTable('instructions').where('agent_id', '=', agentId);
    for (let deadlineMs = 9_001; deadlineMs < 9_020; deadlineMs++) {
      await save(begun, run, [sendTrain([agentId], deadlineMs)], { change: moment });
      await all.set({ settled_at_ms: null }).execute();
    }
    const deadlines = (await unsettled(agentId)).map((each) => (each.kind === 'train' ? each.train.deadlineMs : 0));
    expect(deadlines).toEqual(Array.from({ length: 20 }, (_, i) => 9_000 + i));
  });
}
