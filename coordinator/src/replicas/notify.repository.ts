/** Signals by NOTIFY: within a transaction they go out when it commits, and not at all where it does not. */
import { sql, type Kysely, type Transaction } from 'kysely';

import type { Database } from '../store/schema.js';
import type { SignalKind, Signals } from './signals.js';

/** The one channel of all replicas of a database. */
export const channel = 'graft_replicas';

/** PostgreSQL takes payloads of less than 8000 bytes; an id has at most 64 characters. */
export const signalBytes = 7_000;

export async function notify<K extends SignalKind>(
  db: Kysely<Database> | Transaction<Database>,
  kind: K,
  signal: Signals[K],
): Promise<void> {
  await sql`select pg_notify(${channel}, ${JSON.stringify([kind, signal])})`.execute(db);
}

/** Agents in as many signals as it takes. */
export async function notifyAgents(
  db: Kysely<Database> | Transaction<Database>,
  kind: 'presence' | 'wake',
  agentIds: readonly string[],
): Promise<void> {
  for (const part of inParts(agentIds, (id) => id.length + 3)) await notify(db, kind, { agentIds: part });
}

/** Cuts a list so that no part is larger than a signal takes. */
export function inParts<T>(list: readonly T[], bytesOf: (one: T) => number): T[][] {
  const parts: T[][] = [];
  let left = 0;
  for (const one of list) {
    const bytes = bytesOf(one);
    if (parts.length === 0 || bytes > left) {
      parts.push([]);
      left = signalBytes;
    }
    parts.at(-1)?.push(one);
    left -= bytes;
  }
  return parts;
}
