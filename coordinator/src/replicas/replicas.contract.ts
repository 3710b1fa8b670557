/** What the tables of replicas keep on every database. */
import { randomUUID } from 'node:crypto';

import { coordinatorIdentity } from '../compute/sealing.contract.js';
import { engineStore } from '../rounds/engine-store.repository.js';
import type { Lease } from '../rounds/engine-store.js';
import { acceptedVerdict, refusedVerdict } from '../rounds/machine/effect.js';
import { newRun } from '../rounds/machine/machine.js';
import { checkpoint, planOf } from '../rounds/machine/scenario.contract.js';
import type { StoredRun } from '../rounds/material.js';
import type { RunMessage } from '../rounds/run-message.js';
import type { Store } from '../store/open-store.driver.js';
import { databaseNowPlus } from './database-clock.js';
import { inboxRepository } from './inbox.repository.js';
import { presenceRepository } from './presence.repository.js';
import type { Presence } from './presence.js';
import { runClaims } from './run-claims.repository.js';
import { checkSharedBlobs, checkSharedSecrets } from './shared-marks.repository.js';

const leaseMs = 20_000;
const masterKey = new Uint8Array(32).fill(3);
const clock = { nowMs: () => 5_000 };

const engineOf = ({ db }: Store, owner = 'one') =>
  engineStore(db, { owner, identity: coordinatorIdentity, masterKey, clock });

/** A stored run that `owner` owns. */
async function begin(store: Store, owner = 'one'): Promise<{ runId: string; run: StoredRun; lease: Lease }> {
  const [runId, taskId] = [randomUUID(), randomUUID()];
  const json = { spec: '{}', weights: '{}', fp16: '{}' };
  await store.db
    .insertInto('tasks')
    .values({ id: taskId, name: taskId, kind: 'probe', layout_hash: '', parameter_count: 1, created_at_ms: 1, ...json })
    .execute();
  const machine = newRun(planOf({ runId, taskId, kind: 'probe' }), checkpoint(0), { atMs: 1_000 });
  const material = { kind: 'probe', taskId, layoutHash: 'x', parameterCount: 1, add: 1 } as const;
  const run: StoredRun = { machine, material, transferred: { round: 1, agents: {} } };
  return { runId, run, lease: await engineOf(store, owner).create(run) };
}

const expire = ({ db }: Store, runId: string) =>
  db.updateTable('runs').set({ lease_expires_at_ms: 1 }).where('id', '=', runId).execute();

const stop = { kind: 'stop', reason: 'enough' } as const satisfies RunMessage;

export function replicasContract(store: () => Store): void {
  describe('replicas', () => {
    presence(store);
    inbox(store);
    claims(store);
    marks(store);
  });
}

function presence(store: () => Store): void {
  const replica = (id: string): Presence => presenceRepository(store().db, { id, version: 'test', leaseMs });
  const kill = (id: string, endsMs: number) =>
    store()
      .db.updateTable('replicas')
      .set({ expires_at_ms: databaseNowPlus(endsMs) })
      .where('id', '=', id)
      .execute();

  async function two(): Promise<{ a: Presence; b: Presence; aId: string; agent: string }> {
    const [aId, bId, agent] = [randomUUID(), randomUUID(), randomUUID()];
    const [a, b] = [replica(aId), replica(bId)];
    for (const one of [a, b]) expect(await one.renew({ draining: false })).toBe(true);
    expect(await a.renew({ draining: false })).toBe(false);
    return { a, b, aId, agent };
  }

  test('an agent is where its newest stream is, and the end of an older one removes nothing', async () => {
    const { a, b, agent } = await two();
    const first = await a.opened(agent);
    const second = await b.opened(agent);
    expect(second).toBeGreaterThan(first);
    expect(await a.closed(agent, first)).toBe(false);
    expect(await a.connected([agent])).toEqual([agent]);
    expect(await b.closed(agent, second)).toBe(true);
    expect(await a.connected([agent])).toEqual([]);
    expect(await b.closed(agent, second)).toBe(false);
  });

  test('agents of a replica that is not heard of are gone, and are back when it wakes in time', async () => {
    const { a, b, aId, agent } = await two();
    await a.opened(agent);
    await kill(aId, -1);
    expect(await b.connected([agent])).toEqual([]);
    expect(await a.renew({ draining: false })).toBe(false);
    expect(await b.connected([agent])).toEqual([agent]);
  });

  test('a replica that was forgotten tells of its streams again, but takes none from where the agent is now', async () => {
    const { a, b, aId, agent } = await two();
    const moved = randomUUID();
    const streams = [
      { agentId: agent, session: await a.opened(agent) },
      { agentId: moved, session: await a.opened(moved) },
    ];
    const session = await b.opened(moved);
    await kill(aId, -1_000 * leaseMs);
    expect(await replica(randomUUID()).renew({ draining: false })).toBe(true);
    expect(await store().db.selectFrom('presence').where('agent_id', '=', agent).selectAll().execute()).toEqual([]);
    expect(await a.renew({ draining: false })).toBe(true);
    await a.holds(streams);
    await a.holds([]);
    expect(await b.connected([agent, moved])).toEqual([agent, moved].sort());
    expect(await b.closed(moved, session)).toBe(true);
  });

  test('a replica that drains or leaves takes no runs; one that leaves has no agents', async () => {
    const before = await replica('nobody').taking();
    const { a, b, agent } = await two();
    expect(await a.taking()).toBe(before + 2);
    await b.renew({ draining: true });
    expect(await a.taking()).toBe(before + 1);
    await a.opened(agent);
    await a.leave();
    expect([await b.taking(), await b.connected([agent]), await b.connected([])]).toEqual([before, [], []]);
  });

  test('agents with unsettled instructions are told to the replica that holds their streams', async () => {
    const { a, b, agent } = await two();
    const { runId } = await begin(store());
    await a.opened(agent);
    const row = { id: randomUUID(), agent_id: agent, run_id: runId, round: 1, kind: 'train', created_at_ms: 1 };
    await store()
      .db.insertInto('instructions')
      .values({ ...row, payload: Buffer.from('') })
      .execute();
    expect([await a.instructed(), await b.instructed()]).toEqual([[agent], []]);
    await store().db.updateTable('instructions').set({ settled_at_ms: 1 }).where('agent_id', '=', agent).execute();
    expect(await a.instructed()).toEqual([]);
  });
}

function inbox(store: () => Store): void {
  const box = () => inboxRepository(store().db);

  /** Stores a step that a message led to, as the owner of the lease. */
  const take = (run: StoredRun, lease: Lease, inboxSeq: number, accepted = true): Promise<unknown> => {
    const verdict = accepted ? acceptedVerdict : refusedVerdict('late', 'too late');
    const result = { state: run.machine, effects: [], verdict };
    return engineOf(store()).save(lease, run, [{ result, context: { inboxSeq } }]);
  };

  test('a message that is sent again while it waits is one message, and is answered once for all who wait', async () => {
    const { runId, run, lease } = await begin(store());
    const seqs = await Promise.all([1, 2, 3].map(() => box().put(runId, 'k', stop)));
    expect(new Set(seqs).size).toBe(1);
    const [seq = 0] = seqs;
    expect(await box().waiting([runId])).toEqual([{ seq, runId, message: stop }]);
    expect(await box().answerOf(seq)).toBeUndefined();
    await take(run, lease, seq);
    expect(await box().answerOf(seq)).toEqual({ verdict: acceptedVerdict });
    expect(await box().waiting([runId])).toEqual([]);
  });

  test('a message that was answered is asked again when it is sent again', async () => {
    const { runId, run, lease } = await begin(store());
    const seq = await box().put(runId, 'k', stop);
    await take(run, lease, seq, false);
    expect(await box().put(runId, 'k', stop)).toBe(seq);
    expect(await box().answerOf(seq)).toBeUndefined();
    expect(await box().waiting([runId])).toHaveLength(1);
  });

  test('whoever lost the run answers nothing, and its step is not stored', async () => {
    const { runId, run, lease } = await begin(store());
    const seq = await box().put(runId, 'k', stop);
    await expire(store(), runId);
    expect((await runClaims(store().db, { owner: 'two', leaseMs }).claimFree(1_000)).length).toBeGreaterThan(0);
    await expect(take(run, lease, seq)).rejects.toMatchObject({ code: 'LEASE_LOST' });
    expect(await box().answerOf(seq)).toBeUndefined();
    expect(await box().waiting([runId])).toHaveLength(1);
  });

  test('messages come in order, of the runs that are asked for', async () => {
    const [one, other] = [await begin(store()), await begin(store())];
    for (const key of ['a', 'b', 'c']) await box().put(one.runId, key, { ...stop, reason: key });
    await box().put(other.runId, 'z', stop);
    const letters = await box().waiting([one.runId]);
    expect(letters.map(({ message }) => message)).toEqual(['a', 'b', 'c'].map((reason) => ({ ...stop, reason })));
    expect(await box().waiting([])).toEqual([]);
  });

  test('old answers are removed, and what waits for a run that is over', async () => {
    const [open, over] = [await begin(store()), await begin(store())];
    const [done, waits, never] = [
      await box().put(open.runId, 'done', stop),
      await box().put(open.runId, 'waits', stop),
      await box().put(over.runId, 'never', stop),
    ];
    await take(open.run, open.lease, done);
    await store().db.updateTable('runs').set({ open: false }).where('id', '=', over.runId).execute();
    await box().purge(3_600_000);
    const left = async (): Promise<number[]> => {
      const rows = await store()
        .db.selectFrom('inbox')
        .select('seq')
        .where('seq', 'in', [done, waits, never])
        .execute();
      return rows.map(({ seq }) => seq).sort((a, b) => a - b);
    };
    expect(await left()).toEqual([done, waits, never]);
    await box().purge(-1_000);
    expect(await left()).toEqual([waits]);
  });
}

function claims(store: () => Store): void {
  const as = (owner: string) => runClaims(store().db, { owner, leaseMs });
  const idsOf = (owned: readonly { readonly lease: Lease }[]): string[] => owned.map(({ lease }) => lease.runId);

  test('free runs are claimed, a few at a time, and those that are held are not', async () => {
    const me = randomUUID();
    const [held, ...free] = [await begin(store(), me), await begin(store()), await begin(store())];
    for (const { runId } of free) await expire(store(), runId);
    const before = await as(me).open();
    expect(idsOf(await as(me).claimFree(0))).toEqual([]);
    const claimed: string[] = [];
    for (let some = await as(me).claimFree(1); some.length > 0; some = await as(me).claimFree(1)) {
      expect(some).toHaveLength(1);
      claimed.push(...idsOf(some));
    }
    for (const { runId } of free) expect(claimed).toContain(runId);
    expect(claimed).not.toContain(held?.runId);
    expect(await as(me).open()).toBe(before);
    expect(idsOf(await as(me).claimOwn()).sort()).toEqual([...claimed, held?.runId].sort());
  });

  test('replicas that claim at once share the runs', async () => {
    const begun = await Promise.all(Array.from({ length: 6 }, () => begin(store(), 'gone')));
    for (const { runId } of begun) await expire(store(), runId);
    const shares = await Promise.all(['x', 'y', 'z'].map((owner) => as(owner).claimFree(1_000)));
    const taken = shares.flatMap(idsOf).filter((id) => begun.some(({ runId }) => runId === id));
    expect(taken.length).toBe(new Set(taken).size);
    const rest = idsOf(await as('x').claimFree(1_000));
    expect([...taken, ...rest].filter((id) => begun.some(({ runId }) => runId === id))).toHaveLength(6);
  });

  test('what an owner knows is confirmed while nobody has claimed since', async () => {
    const { runId, lease, run } = await begin(store());
    await as('one').confirm(lease);
    expect(await as('two').stored(runId)).toEqual(run);
    expect([await as('two').isOpen(runId), await as('two').isOpen('another')]).toEqual([true, false]);
    await expire(store(), runId);
    await as('one').confirm(lease);
    await as('two').claimFree(1_000);
    await expect(as('one').confirm(lease)).rejects.toMatchObject({ code: 'LEASE_LOST' });
    await store().db.updateTable('runs').set({ open: false }).where('id', '=', runId).execute();
    expect(await as('two').stored(runId)).toBeUndefined();
  });

  test('runs that wait for the update of an agent are found, whoever owns them', async () => {
    const agent = randomUUID();
    const { run, lease } = await begin(store());
    const members = { [agent]: { state: 'selected' as const } };
    const state = { ...run.machine, phase: 'training' as const, members };
    await engineOf(store()).save(lease, run, [{ result: { state, effects: [] }, context: {} }]);
    const found = await as('two').training(agent);
    expect(found.map(({ machine }) => machine.plan.runId)).toEqual([lease.runId]);
    expect(await as('two').training(randomUUID())).toEqual([]);
  });
}

function marks(store: () => Store): void {
  const secrets = {
    caCertificate: 'certificate',
    identityKey: new Uint8Array(32).fill(1),
    masterKey: new Uint8Array(32).fill(2),
  };

  test('a coordinator with other secrets than the first is refused, and told which', async () => {
    const { db } = store();
    await db.deleteFrom('shared_marks').execute();
    await checkSharedSecrets(db, secrets);
    await checkSharedSecrets(db, secrets);
    const other = { ...secrets, caCertificate: 'another', masterKey: new Uint8Array(32) };
    await expect(checkSharedSecrets(db, other)).rejects.toMatchObject({
      code: 'KEYS_DIFFER',
      message: 'ca.json, master.key: not the secrets that this database is used with',
    });
    const stored = await db.selectFrom('shared_marks').selectAll().execute();
    expect(JSON.stringify(stored)).not.toContain(Buffer.from(secrets.masterKey).toString('hex'));
  });

  test('a coordinator that does not see the blobs of the first is refused', async () => {
    const { db } = store();
    await db.deleteFrom('shared_marks').execute();
    const stored = new Map<string, number>();
    const blobs = {
      has: async (hash: string) => stored.get(hash),
      put: async (bytes: Uint8Array) => {
        const hash = Buffer.from(bytes).toString('hex').padEnd(64, '0').slice(-64);
        stored.set(hash, bytes.byteLength);
        return { hash, sizeBytes: bytes.byteLength };
      },
    };
    await checkSharedBlobs(db, blobs);
    await checkSharedBlobs(db, blobs);
    expect(stored.size).toBe(1);
    await expect(checkSharedBlobs(db, { ...blobs, has: async () => undefined })).rejects.toMatchObject({
      code: 'BLOBS_NOT_SHARED',
    });
  });
}
