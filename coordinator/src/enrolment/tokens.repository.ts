/** Enrolment tokens in the store: made here, used up once. */
import type { Kysely, Selectable } from 'kysely';
import { ulid } from 'ulid';

import type { Clock } from '@graft/core/clock';
import { GraftError } from '@graft/core/error';

import { appendAudit } from '../store/audit.repository.js';
import type { Database } from '../store/schema.js';
import { inTransaction } from '../store/transaction.js';
import type { EnrolPorts } from './enrol.js';
import type { EnrolmentTokens } from './enrolment-tokens.js';
import { hashSecret, newSecret } from './token.adapter.js';
import type { TokenView } from './token-view.js';

type TokenRow = Selectable<Database['enrolment_tokens']>;

export interface TokensPorts {
  readonly db: Kysely<Database>;
  readonly clock: Clock;
  /** host:port of the enrolment service. */
  readonly server: () => string;
  readonly fingerprint: string;
}

export function tokensRepository({ db, clock, server, fingerprint }: TokensPorts): EnrolmentTokens {
  return {
    list: async () => {
      const rows = await db
        .selectFrom('enrolment_tokens')
        .selectAll()
        .orderBy('created_at_ms', 'desc')
        .limit(1_000)
        .execute();
      return rows.map((row) => view(row, clock.nowMs()));
    },
    create: async ({ name, expiresInMs, approval }, by) => {
      await checkNameIsFree(db, name);
      const atMs = clock.nowMs();
      const token = newSecret('enrol');
      const row = {
        id: ulid(atMs),
        name,
        hash: hashSecret(token),
        needs_approval: approval,
        created_at_ms: atMs,
        expires_at_ms: atMs + expiresInMs,
      };
      await inTransaction(db, async (transaction) => {
        await transaction.insertInto('enrolment_tokens').values(row).execute();
        await appendAudit(transaction, { atMs, action: 'token.created', details: { tokenId: row.id, name, by } });
      });
      const command = `graft-agent enroll --server ${server()} --token ${token} --fingerprint ${fingerprint}`;
      return { id: row.id, name, token, server: server(), fingerprint, command, expiresAtMs: row.expires_at_ms };
    },
    revoke: async (id, by) => {
      const atMs = clock.nowMs();
      const row = await inTransaction(db, async (transaction) => {
        const revoked = await transaction
          .updateTable('enrolment_tokens')
          .set({ revoked_at_ms: atMs })
          .where('id', '=', id)
          .where('used_at_ms', 'is', null)
          .where('revoked_at_ms', 'is', null)
          .returningAll()
          .executeTakeFirst();
        if (revoked === undefined)
          return transaction.selectFrom('enrolment_tokens').selectAll().where('id', '=', id).executeTakeFirst();
        await appendAudit(transaction, {
          atMs,
          action: 'token.revoked',
          details: { tokenId: id, name: revoked.name, by },
        });
        return revoked;
      });
      if (row === undefined) throw new GraftError('NOT_FOUND', `there is no enrolment token ${id}`);
      return view(row, atMs);
    },
  };
}

/** What enrolment asks of the store. */
export function tokenRedemption(db: Kysely<Database>): Pick<EnrolPorts, 'checkToken' | 'redeem'> {
  return {
    checkToken: async (token, atMs) => {
      const row = await db
        .selectFrom('enrolment_tokens')
        .selectAll()
        .where('hash', '=', hashSecret(token))
        .executeTakeFirst();
      const state = row && view(row, atMs).state;
      if (state !== 'open') throw notOpen(state);
    },
    redeem: async (token, agent) =>
      inTransaction(db, async (transaction) => {
        const used = await transaction
          .updateTable('enrolment_tokens')
          .set({ used_at_ms: agent.atMs, agent_id: agent.id })
          .where('hash', '=', hashSecret(token))
          .where('used_at_ms', 'is', null)
          .where('revoked_at_ms', 'is', null)
          .where('expires_at_ms', '>', agent.atMs)
          .returning(['name', 'needs_approval'])
          .executeTakeFirst();
        if (used === undefined) throw notOpen('used');
        // Two tokens of one name may be redeemed at once: the unique name lets one in.
        const added = await transaction
          .insertInto('agents')
          .values({
            id: agent.id,
            name: used.name,
            state: used.needs_approval ? 'pending' : 'active',
            signing_key: Buffer.from(agent.signingKey),
            agreement_key: Buffer.from(agent.agreementKey),
            certificate: agent.certificate,
            version: agent.version,
            created_at_ms: agent.atMs,
          })
          .onConflict((on) => on.doNothing())
          .returning('id')
          .executeTakeFirst();
        if (added === undefined) throw nameTaken(used.name, await holderOf(transaction, used.name));
        await appendAudit(transaction, {
          atMs: agent.atMs,
          action: 'agent.enrolled',
          details: { agentId: agent.id, name: used.name },
        });
        return used.name;
      }),
  };
}

async function checkNameIsFree(db: Kysely<Database>, name: string): Promise<void> {
  const holder = await holderOf(db, name);
  if (holder !== undefined) throw nameTaken(name, holder);
}

async function holderOf(db: Kysely<Database>, name: string): Promise<string | undefined> {
  const holder = await db
    .selectFrom('agents')
    .select('id')
    .where('name', '=', name)
    .where('state', '<>', 'revoked')
    .executeTakeFirst();
  return holder?.id;
}

const nameTaken = (name: string, holder = 'another'): GraftError =>
  new GraftError('ALREADY_EXISTS', `agent ${holder} is enrolled as '${name}'; revoke it first, or choose another name`);

const notOpen = (state: TokenView['state'] | undefined): GraftError =>
  new GraftError(
    'TOKEN_INVALID',
    state === undefined ? 'the enrolment token is not known here' : `the enrolment token is ${state} already`,
  );

function view(row: TokenRow, atMs: number): TokenView {
  const state =
    row.used_at_ms !== null
      ? 'used'
      : row.revoked_at_ms !== null
        ? 'revoked'
        : row.expires_at_ms <= atMs
          ? 'expired'
          : 'open';
  return {
    id: row.id,
    name: row.name,
    state,
    approval: row.needs_approval,
    createdAtMs: row.created_at_ms,
    expiresAtMs: row.expires_at_ms,
    ...(row.used_at_ms !== null && { usedAtMs: row.used_at_ms }),
    ...(row.agent_id !== null && { agentId: row.agent_id }),
  };
}
