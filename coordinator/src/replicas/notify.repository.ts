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

/** Calls out, at the commit, what a step of a run has changed for others: one statement. */
export async function notifyStep(
  db: Transaction<Database>,
  { wake, events }: { readonly wake: readonly string[]; readonly events: number },
): Promise<void> {
  const signals = [
    ...inParts([...new Set(wake)], (id) => id.length + 3).map((agentIds) => JSON.stringify(['wake', { agentIds }])),
    ...(events > 0 ? [JSON.stringify(['event', {}])] : []),
  ];
  if (signals.length === 0) return;
  await sql`select pg_notify(${channel}, payload) from unnest(${signals}::text[]) as payload`.execute(db);
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
