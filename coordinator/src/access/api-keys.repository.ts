/** API keys, of which only hashes are stored. */
import type { Kysely, Selectable } from 'kysely';
import { ulid } from 'ulid';

import type { Clock } from '@graft/core/clock';
import { GraftError } from '@graft/core/error';

import { hashSecret, newSecret } from '../enrolment/token.adapter.js';
import { appendAudit } from '../store/audit.repository.js';
import type { Database } from '../store/schema.js';
import { inTransaction } from '../store/transaction.js';
import type { CreatedKey, CreateKey, KeyView } from './key-view.js';
import { roleSchema, type Caller } from './roles.js';

export interface ApiKeys {
  /** Who holds this key; undefined for an unknown or revoked one. */
  callerOf(key: string): Promise<Caller | undefined>;
  /** Lets a key in; only its hash is kept. */
  add(key: string, holder: CreateKey, by: string): Promise<KeyView>;
  /** True while there is no key yet. */
  none(): Promise<boolean>;
  list(): Promise<readonly KeyView[]>;
  /** A new key, in clear for the only time. */
  create(holder: CreateKey, by: string): Promise<CreatedKey>;
  /** NOT_FOUND for an unknown one; INVALID_REQUEST for the last admin's, which would lock everybody out. */
  revoke(id: string, by: string): Promise<KeyView>;
}

export function apiKeys(db: Kysely<Database>, clock: Clock): ApiKeys {
  const add: ApiKeys['add'] = async (key, { name, role }, by) => {
    const atMs = clock.nowMs();
    const row = { id: ulid(atMs), name, role, created_at_ms: atMs };
    await inTransaction(db, async (transaction) => {
      await transaction
        .insertInto('api_keys')
        .values({ ...row, hash: hashSecret(key) })
        .execute();
      await appendAudit(transaction, { atMs, action: 'key.created', details: { keyId: row.id, name, role, by } });
    });
    return view({ ...row, revoked_at_ms: null });
  };
  return {
    add,
    callerOf: async (key) => {
      const row = await db
        .selectFrom('api_keys')
        .select(['id', 'name', 'role'])
        .where('hash', '=', hashSecret(key))
        .where('revoked_at_ms', 'is', null)
        .executeTakeFirst();
      return row && { keyId: row.id, name: row.name, role: roleSchema.parse(row.role) };
    },
    none: async () => (await db.selectFrom('api_keys').select('id').limit(1).executeTakeFirst()) === undefined,
    list: async () => (await db.selectFrom('api_keys').selectAll().orderBy('created_at_ms').execute()).map(view),
    create: async (holder, by) => {
      const key = newSecret('key');
      return { ...(await add(key, holder, by)), key };
    },
    revoke: async (id, by) => {
      const atMs = clock.nowMs();
      return inTransaction(db, async (transaction) => {
        const keys = await transaction
          .selectFrom('api_keys')
          .selectAll()
          .where('revoked_at_ms', 'is', null)
          .forUpdate()
          .execute();
        const row = keys.find((key) => key.id === id);
        if (row === undefined) throw new GraftError('NOT_FOUND', `there is no API key ${id} that is in use`);
        if (keys.every((key) => key.id === id || key.role !== 'admin')) {
          throw new GraftError('INVALID_REQUEST', `'${row.name}' is the last admin key; make another one first`);
        }
        await transaction.updateTable('api_keys').set({ revoked_at_ms: atMs }).where('id', '=', id).execute();
        await appendAudit(transaction, { atMs, action: 'key.revoked', details: { keyId: id, name: row.name, by } });
        return view({ ...row, revoked_at_ms: atMs });
      });
    },
  };
}

function view(row: Omit<Selectable<Database['api_keys']>, 'hash'>): KeyView {
  return {
    id: row.id,
    name: row.name,
    role: roleSchema.parse(row.role),
    createdAtMs: row.created_at_ms,
    ...(row.revoked_at_ms !== null && { revokedAtMs: row.revoked_at_ms }),
  };
}
