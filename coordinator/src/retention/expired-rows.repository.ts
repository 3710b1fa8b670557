/** Removes rows that nothing needs any more. Each statement takes a batch, so that no lock is held for long. */
import { sql, type Kysely } from 'kysely';

import type { Database } from '../store/schema.js';

export interface Retention {
  readonly eventsMs: number;
  /** Committed rounds of a run whose updates are kept. */
  readonly updateRounds: number;
  /** Checkpoints of a run that are kept beside those of releases. */
  readonly checkpoints: number;
  /** Settled instructions, finished effects, answers to repeated requests, deltas to checkpoints that are gone. */
  readonly settledMs: number;
}

const batch = 5_000;

export type ExpiredRows = Readonly<
  Record<'events' | 'updates' | 'checkpoints' | 'deltas' | 'outbox' | 'instructions' | 'answers', number>
>;

export async function removeExpired(db: Kysely<Database>, keep: Retention, atMs: number): Promise<ExpiredRows> {
  const settledMs = atMs - keep.settledMs;
  return {
    events: await inBatches(
      db,
      () => sql`delete from events where seq in (
      select seq from events where at_ms < ${atMs - keep.eventsMs} order by seq limit ${batch})`,
    ),
    // The row stays: who reported what is part of the record. Its ciphertext and manifest are what takes room.
    // A round may fold updates of as many rounds before as its policy lets be stale.
    updates: await inBatches(
      db,
      () => sql`update updates u set ciphertext = '{}', manifest = ''
      from (select u.run_id, u.round, u.agent_id, u.nonce from updates u join runs r on r.id = u.run_id
        where u.ciphertext <> '{}' and (not r.open or u.round <= (
          select max(c.round) from rounds c where c.run_id = u.run_id and c.phase = 'committed')
            - greatest(${keep.updateRounds}::int, coalesce((r.state #>> '{machine,plan,policy,maxStaleness}')::int, 0) + 1))
        limit ${batch}) old
      where (u.run_id, u.round, u.agent_id, u.nonce) = (old.run_id, old.round, old.agent_id, old.nonce)`,
    ),
    checkpoints: await inBatches(
      db,
      () => sql`delete from checkpoints where (run_id, round) in (
      select run_id, round from (
        select c.run_id, c.round, row_number() over (partition by c.run_id order by c.round desc) as age from checkpoints c) aged
      where age > ${keep.checkpoints} and not exists (
        select 1 from releases l where l.run_id = aged.run_id and l.round = aged.round) limit ${batch})`,
    ),
    // Nobody asks for an old checkpoint again; who does gets its delta made again.
    deltas: await inBatches(
      db,
      () => sql`delete from deltas where (from_hash, to_hash) in (
      select d.from_hash, d.to_hash from deltas d where d.created_at_ms < ${settledMs} and not exists (
        select 1 from checkpoints c where c.fp16 ->> 'hash' = d.to_hash) limit ${batch})`,
    ),
    outbox: await inBatches(
      db,
      () => sql`delete from outbox where seq in (
      select seq from outbox where done_at_ms < ${settledMs} order by seq limit ${batch})`,
    ),
    instructions: await inBatches(
      db,
      () => sql`delete from instructions where id in (
      select id from instructions where settled_at_ms < ${settledMs} limit ${batch})`,
    ),
    answers: await inBatches(
      db,
      () => sql`delete from answers where id in (
      select id from answers where at_ms < ${settledMs} order by at_ms limit ${batch})`,
    ),
  };
}

async function inBatches(db: Kysely<Database>, statement: () => ReturnType<typeof sql>): Promise<number> {
  for (let total = 0; ;) {
    const { numAffectedRows = 0n } = await statement().execute(db);
    total += Number(numAffectedRows);
    if (numAffectedRows < batch) return total;
  }
}
