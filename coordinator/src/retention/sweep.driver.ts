/**
 * Removes what nothing needs any more: rows by their rules, then blobs that no row names and that nobody used within the grace period.
 * Safe beside uploads, workers and other replicas: a blob that is written or asked for is young, and is named within the grace period or never.
 * One replica sweeps at a time.
 */
import { sql, type Kysely } from 'kysely';

import type { BlobStore } from '../blobs/blob-store.js';
import type { BlobShelf } from '../blobs/shelf.js';
import { namedBlobs } from '../backup/named-blobs.repository.js';
import type { Database } from '../store/schema.js';
import { removeExpired, type ExpiredRows, type Retention } from './expired-rows.repository.js';

export interface SweepOptions {
  readonly db: Kysely<Database>;
  readonly blobs: Pick<BlobStore, 'delete'>;
  readonly shelf: BlobShelf;
  readonly keep: Retention;
  readonly graceMs: number;
}

export interface SweepReport {
  /** Absent in a dry run: rows are not counted then. */
  readonly rows?: ExpiredRows;
  /** Blobs that were removed, or would be. */
  readonly blobs: number;
  readonly sizeBytes: number;
  readonly keptBlobs: number;
  readonly keptBytes: number;
}

/** Answers undefined where another replica sweeps at this moment. */
export async function sweep(
  options: SweepOptions,
  { atMs, dryRun }: { atMs: number; dryRun: boolean },
): Promise<SweepReport | undefined> {
  const { db, shelf, keep, graceMs } = options;
  if (!(await begin(db, atMs))) return undefined;
  try {
    const rows = dryRun ? undefined : await removeExpired(db, keep, atMs);
    const old: { hash: string; sizeBytes: number }[] = [];
    const kept = { keptBlobs: 0, keptBytes: 0 };
    const seen: { hash: string; sizeBytes: number; isOld: boolean }[] = [];
    // First what lies there, then what is named: what comes between is young.
    for await (const { hash, sizeBytes, usedAtMs } of shelf.list())
      seen.push({ hash, sizeBytes, isOld: usedAtMs < atMs - graceMs });
    const named = await namedBlobs(db);
    for (const { hash, sizeBytes, isOld } of seen) {
      if (isOld && !named.has(hash)) old.push({ hash, sizeBytes });
      else {
        kept.keptBlobs++;
        kept.keptBytes += sizeBytes;
      }
    }
    const removed = { blobs: 0, sizeBytes: 0 };
    for (const { hash, sizeBytes } of old) {
      const now = await shelf.find(hash);
      if (now === undefined || now.usedAtMs >= atMs - graceMs) continue;
      if (!dryRun) await options.blobs.delete(hash);
      removed.blobs++;
      removed.sizeBytes += sizeBytes;
    }
    return { ...(rows && { rows }), ...removed, ...kept };
  } finally {
    await end(db);
  }
}

/** A sweep that its replica did not end is over after this long. */
const longestSweepMs = 3_600_000;

/** A row, not a lock of a session: a sweep asks the object storage for minutes, and holds no connection for that. */
async function begin(db: Kysely<Database>, atMs: number): Promise<boolean> {
  const { numAffectedRows } = await sql`insert into shared_marks (name, value) values (${markName}, ${String(atMs)})
    on conflict (name) do update set value = excluded.value
    where shared_marks.value::bigint < ${atMs - longestSweepMs}`.execute(db);
  return numAffectedRows === 1n;
}

const markName = 'sweep';

async function end(db: Kysely<Database>): Promise<void> {
  await sql`delete from shared_marks where name = ${markName}`.execute(db);
}
