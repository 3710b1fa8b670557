/**
 * What the store keeps, on the embedded database and on PostgreSQL alike: everything that is read and written through it
 * behaves the same on both.
 */
import { randomUUID } from 'node:crypto';

import { apiKeys } from '../access/api-keys.repository.js';
import { agentDirectory, agentsRepository } from '../agents/agents.repository.js';
import type { Agents } from '../agents/agents.js';
import type { NewAgent } from '../enrolment/enrol.js';
import { tokenRedemption, tokensRepository } from '../enrolment/tokens.repository.js';
import { answersContract } from '../api/idempotency.contract.js';
import { storedAnswers } from '../api/idempotency.repository.js';
import { storedEvents } from '../events/events.repository.js';
import { engineStoreContract } from '../rounds/engine-store.contract.js';
import { appendAudit, firstBrokenAudit } from './audit.repository.js';
import { migrate } from './migrate.repository.js';
import type { Store } from './open-store.driver.js';
import { inTransaction } from './transaction.js';

const clock = { nowMs: () => 1_000_000 };

/** A name that no other test uses: the tests of one suite share a database. */
export const freshId = (): string => randomUUID();

export function storeContract(open: () => Promise<Store>): void {
  let store: Store;
  beforeAll(async () => {
    store = await open();
  }, 120_000);
  afterAll(async () => store.close());
  const opened = (): Store => store;

  schemaContract(opened);
  transactionContract(opened);
  tokenContract(opened);
  agentContract(opened);
  accessContract(opened);
  auditContract(opened);
  answersContract(() => storedAnswers(opened().db));
  engineStoreContract(opened);
}

function schemaContract(store: () => Store): void {
  describe('the schema', () => {
    test('bringing it up to date again changes nothing', async () => {
      const before = await apiKeys(store().db, clock).none();
      await migrate(store().db);
      await migrate(store().db);
      expect(await apiKeys(store().db, clock).none()).toBe(before);
    });

    test('numbers, bytes and JSON come back as they went in', async () => {
      const id = freshId();
      const spec = { text: 'å 🦉 "\\', floats: [0.1, Number.MAX_VALUE, 5e-324, -0.5], nested: { none: null } };
      const row = { id, name: id, kind: 'probe', layout_hash: '', weights: '{}', fp16: '{}', created_at_ms: 1 };
      await store()
        .db.insertInto('tasks')
        .values({ ...row, spec: JSON.stringify(spec), parameter_count: 2 ** 53 - 1 })
        .execute();
      const read = await store().db.selectFrom('tasks').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
      expect(read).toMatchObject({ spec, parameter_count: 2 ** 53 - 1, created_at_ms: 1, pipeline: null });

      const key = Uint8Array.from({ length: 256 }, (_, i) => i);
      await store()
        .db.insertInto('agents')
        .values({
          id,
          name: id,
          state: 'active',
          signing_key: key,
          agreement_key: key,
          certificate: '',
          created_at_ms: 1,
        })
        .execute();
      const agent = await store().db.selectFrom('agents').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
      expect(Buffer.from(agent.signing_key).equals(key)).toBe(true);
      expect(agent.last_seen_at_ms).toBeNull();
    });

    test('a chain of queries lets others run', async () => {
      let turns = 0;
      const ticking = setInterval(() => turns++, 0);
      for (let query = 0; query < 100; query++) await apiKeys(store().db, clock).none();
      clearInterval(ticking);
      expect(turns).toBeGreaterThan(10);
    });

    test('events are read in the order of their numbers, after any number', async () => {
      const runId = freshId();
      const kinds = Array.from({ length: 30 }, (_, i) => `kind-${i}`);
      for (const kind of kinds) {
        await store().db.insertInto('events').values({ at_ms: 5, kind, run_id: runId, data: '{"a":1}' }).execute();
      }
      const read = storedEvents(store().db);
      const all = (await read(0, 10_000)).filter((event) => event.runId === runId);
      expect(all.map(({ kind }) => kind)).toEqual(kinds);
      expect(all.every(({ seq, atMs }) => Number.isSafeInteger(seq) && atMs === 5)).toBe(true);
      const rest = (await read(all[9]?.seq ?? 0, 10_000)).filter((event) => event.runId === runId);
      expect(rest).toEqual(all.slice(10));
    });
  });
}

function transactionContract(store: () => Store): void {
  describe('a transaction', () => {
    const name = (id: string) => ({ id, name: id, role: 'viewer', hash: id, created_at_ms: 1 });
    const isThere = async (id: string): Promise<boolean> =>
      (await store().db.selectFrom('api_keys').select('id').where('id', '=', id).executeTakeFirst()) !== undefined;

    test('leaves nothing behind where its body fails', async () => {
      const id = freshId();
      const failing = inTransaction(store().db, async (transaction) => {
        await transaction.insertInto('api_keys').values(name(id)).execute();
        throw new Error('no');
      });
      await expect(failing).rejects.toThrow('no');
      expect(await isThere(id)).toBe(false);
    });

    test.each(['40001', '40P01'])('is tried again, eight times at most, where the database says %s', async (code) => {
      const id = freshId();
      let tries = 0;
      const failure = Object.assign(new Error('try again'), { code });
      const attempt = (failures: number) =>
        inTransaction(store().db, async (transaction) => {
          tries++;
          await transaction.insertInto('api_keys').values(name(id)).execute();
          if (tries <= failures) throw failure;
        });
      await attempt(2);
      expect([tries, await isThere(id)]).toEqual([3, true]);
      await store().db.deleteFrom('api_keys').where('id', '=', id).execute();
      tries = 0;
      await expect(attempt(Infinity)).rejects.toBe(failure);
      expect([tries, await isThere(id)]).toEqual([8, false]);
    });

    test('that finds the disk full says so, and is not tried again', async () => {
      let tries = 0;
      const failing = inTransaction(store().db, async () => {
        tries++;
        throw Object.assign(new Error('could not extend file'), { code: '53100' });
      });
      await expect(failing).rejects.toMatchObject({ code: 'DISK_FULL' });
      expect(tries).toBe(1);
    });

    test('is not tried again for another error', async () => {
      const id = freshId();
      let tries = 0;
      const twice = inTransaction(store().db, async (transaction) => {
        tries++;
        await transaction
          .insertInto('api_keys')
          .values([name(id), name(id)])
          .execute();
      });
      await expect(twice).rejects.toMatchObject({ code: '23505' });
      expect(tries).toBe(1);
    });
  });
}

export const newAgent = (id: string): NewAgent => ({
  id,
  signingKey: new Uint8Array(32).fill(1),
  agreementKey: new Uint8Array(32).fill(2),
  certificate: 'PEM',
  version: '0.1.0',
  atMs: clock.nowMs(),
});

const codes = (settled: readonly PromiseSettledResult<unknown>[]): string[] =>
  settled.map((each) => (each.status === 'fulfilled' ? 'ok' : String(Object(each.reason).code))).sort();

function invite(store: Store, name: string, approval = false): Promise<{ readonly token: string }> {
  const tokens = tokensRepository({ db: store.db, clock, server: () => 'hub:1', fingerprint: 'sha256:ab' });
  return tokens.create({ name, expiresInMs: 1_000, approval }, 'test');
}

function tokenContract(store: () => Store): void {
  describe('an enrolment token', () => {
    test('is redeemed once, however many try at once', async () => {
      const name = freshId();
      const { token } = await invite(store(), name);
      const { redeem } = tokenRedemption(store().db);
      const tries = Array.from({ length: 8 }, (_, i) => redeem(token, newAgent(`${name}-${i}`)));
      expect(codes(await Promise.allSettled(tries))).toEqual([...Array<string>(7).fill('TOKEN_INVALID'), 'ok']);
      const agents = await store().db.selectFrom('agents').select('id').where('name', '=', name).execute();
      const tokens = await store().db.selectFrom('enrolment_tokens').selectAll().where('name', '=', name).execute();
      expect(tokens).toMatchObject([{ agent_id: agents[0]?.id, used_at_ms: clock.nowMs() }]);
      expect(agents).toHaveLength(1);
    });

    test('is not used up where its name was taken meanwhile; eight tokens of one name let one agent in', async () => {
      const name = freshId();
      const invites = await Promise.all(Array.from({ length: 8 }, () => invite(store(), name)));
      const { redeem } = tokenRedemption(store().db);
      const tries = invites.map(({ token }, i) => redeem(token, newAgent(`${name}-${i}`)));
      expect(codes(await Promise.allSettled(tries))).toEqual([...Array<string>(7).fill('ALREADY_EXISTS'), 'ok']);
      const unused = store().db.selectFrom('enrolment_tokens').select('id').where('name', '=', name);
      expect(await unused.where('used_at_ms', 'is', null).execute()).toHaveLength(7);
    });
  });
}

function agentContract(store: () => Store): void {
  describe('agents', () => {
    const agents = (): Agents =>
      agentsRepository({
        db: store().db,
        online: () => new Map(),
        activity: () => new Map(),
        disconnect: () => undefined,
        changed: async () => undefined,
        clock,
      });
    const enrol = async (approval: boolean): Promise<string> => {
      const name = freshId();
      await tokenRedemption(store().db).redeem((await invite(store(), name, approval)).token, newAgent(`${name}-1`));
      return name;
    };

    test('a name belongs to one agent until that one is revoked', async () => {
      const name = await enrol(false);
      await expect(invite(store(), name)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
      await agents().revoke(name, 'test');
      await tokenRedemption(store().db).redeem((await invite(store(), name)).token, newAgent(`${name}-2`));
      expect(await agents().get(name)).toMatchObject({ id: `${name}-2`, state: 'active' });
      expect(await agentDirectory(store().db).find(`${name}-1`)).toMatchObject({ state: 'revoked' });
    });

    test('who is revoked while someone approves stays revoked', async () => {
      for (let turn = 0; turn < 5; turn++) {
        const name = await enrol(true);
        const both = await Promise.allSettled([agents().revoke(name, 'a'), agents().approve(name, 'b')]);
        expect(both[0]?.status).toBe('fulfilled');
        expect(await agentDirectory(store().db).find(`${name}-1`)).toMatchObject({ state: 'revoked' });
      }
    });

    test('two who revoke at once leave one row in the audit log', async () => {
      const name = await enrol(false);
      await Promise.all([agents().revoke(name, 'a'), agents().revoke(name, 'b')]);
      const rows = await store()
        .db.selectFrom('audit')
        .select('details')
        .where('action', '=', 'agent.revoked')
        .execute();
      expect(rows.filter(({ details }) => Object(details).name === name)).toHaveLength(1);
    });
  });
}

function accessContract(store: () => Store): void {
  describe('an API key', () => {
    test('is found by its hash, which is all that is stored, until it is revoked', async () => {
      const [key, name] = [`graft_key_${freshId()}`, freshId()];
      const keys = apiKeys(store().db, clock);
      await keys.add(key, { name, role: 'operator' }, 'test');
      expect(await keys.callerOf(key)).toMatchObject({ name, role: 'operator' });
      expect(await keys.callerOf(`${key}x`)).toBeUndefined();
      expect(await keys.callerOf("' or true --")).toBeUndefined();
      const stored = await store().db.selectFrom('api_keys').selectAll().where('name', '=', name).execute();
      expect(JSON.stringify(stored)).not.toContain(key);
      await store().db.updateTable('api_keys').set({ revoked_at_ms: 2 }).where('name', '=', name).execute();
      expect(await keys.callerOf(key)).toBeUndefined();
    });

    test('of an admin is the last one, however many are revoked at once', async () => {
      const keys = apiKeys(store().db, clock);
      const admins = await Promise.all(
        Array.from({ length: 4 }, () => keys.create({ name: freshId(), role: 'admin' }, 'test')),
      );
      const revoked = await Promise.allSettled(admins.map(({ id }) => keys.revoke(id, 'test')));
      expect(codes(revoked)).toEqual(['INVALID_REQUEST', 'ok', 'ok', 'ok']);
    });
  });
}

function auditContract(store: () => Store): void {
  describe('the audit log', () => {
    const append = (atMs: number) =>
      inTransaction(store().db, (transaction) =>
        appendAudit(transaction, { atMs, action: 'tested', details: { zebra: 'å', count: atMs, apple: '' } }),
      );

    test('is one chain, however many write at once', async () => {
      await Promise.all(Array.from({ length: 20 }, (_, i) => append(i)));
      expect(await firstBrokenAudit(store().db)).toBeUndefined();
      const seqs = await store().db.selectFrom('audit').select('seq').where('action', '=', 'tested').execute();
      expect(seqs.length).toBe(20);
    });

    test('shows a row that was changed or taken out', async () => {
      await append(1);
      const rows = await store().db.selectFrom('audit').selectAll().orderBy('seq').execute();
      const [victim, next] = rows.slice(-3);
      if (victim === undefined || next === undefined) throw new Error('the log has too few rows');
      const tamperings = [
        { details: JSON.stringify({ ...Object(victim.details), count: -1 }) },
        { action: 'nothing' },
        { at_ms: victim.at_ms + 1 },
        { hash: next.hash },
      ];
      for (const tampering of tamperings) {
        const broken = await onlyFor(store(), async (db) => {
          await db.updateTable('audit').set(tampering).where('seq', '=', victim.seq).execute();
          return firstBrokenAudit(db);
        });
        expect(broken).toBe(victim.seq);
      }
      const gap = await onlyFor(store(), async (db) => {
        await db.deleteFrom('audit').where('seq', '=', victim.seq).execute();
        return firstBrokenAudit(db);
      });
      expect(gap).toBe(next.seq);
      const last = rows.at(-1)?.seq ?? 0;
      const cut = await onlyFor(store(), async (db) => {
        await db.deleteFrom('audit').where('seq', '=', last).execute();
        return firstBrokenAudit(db);
      });
      expect(cut).toBe(last);
      expect(await firstBrokenAudit(store().db)).toBeUndefined();
    });
  });
}

/** What `body` sees of its own changes, which are undone. */
async function onlyFor<T>(store: Store, body: Parameters<typeof inTransaction<T>>[1]): Promise<T> {
  const undo = new Error('undo');
  let seen: { readonly value: T } | undefined;
  await inTransaction(store.db, async (transaction) => {
    seen = { value: await body(transaction) };
    throw undo;
  }).catch((error: unknown) => {
    if (error !== undo) throw error;
  });
  if (seen === undefined) throw new Error('the body did not end');
  return seen.value;
}
