/** API keys, of which only hashes are stored. */
import type { Kysely } from 'kysely';
import { ulid } from 'ulid';

import { hashSecret } from '../enrolment/token.adapter.js';
import type { Database } from '../store/schema.js';
import { roleSchema, type Caller, type Role } from './roles.js';

export interface ApiKeys {
  /** Who holds this key; undefined for an unknown or revoked one. */
  callerOf(key: string): Promise<Caller | undefined>;
  /** Lets a key in; only its hash is kept. */
  add(key: string, holder: { readonly name: string; readonly role: Role; readonly atMs: number }): Promise<void>;
  /** True while there is no key yet. */
  none(): Promise<boolean>;
}

export function apiKeys(db: Kysely<Database>): ApiKeys {
  return {
    callerOf: async (key) => {
      const row = await db
        .selectFrom('api_keys')
        .select(['id', 'name', 'role'])
        .where('hash', '=', hashSecret(key))
        .where('revoked_at_ms', 'is', null)
        .executeTakeFirst();
      return row && { keyId: row.id, name: row.name, role: roleSchema.parse(row.role) };
    },
    add: async (key, { name, role, atMs }) => {
      await db
        .insertInto('api_keys')
        .values({ id: ulid(atMs), name, role, hash: hashSecret(key), created_at_ms: atMs })
        .execute();
    },
    none: async () => (await db.selectFrom('api_keys').select('id').limit(1).executeTakeFirst()) === undefined,
  };
}
