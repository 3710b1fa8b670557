/** This coordinator as one of several on a PostgreSQL server: what it needs to know of the others, opened and closed together. */
import { randomInt } from 'node:crypto';

import { sql, type Kysely } from 'kysely';

import type { Clock } from '@graft/core/clock';

import type { BlobStore } from '../blobs/blob-store.js';
import type { PartialSums } from '../compute/aggregation.js';
import type { Hub } from '../federation/hub.js';
import { databaseNow } from '../replicas/database-clock.js';
import { cluster, type Cluster } from '../replicas/cluster.driver.js';
import { foldJobs } from '../replicas/folds/fold-jobs.repository.js';
import { takeFoldJobs } from '../replicas/folds/fold-worker.driver.js';
import { sharedFolds } from '../replicas/folds/shared-folds.driver.js';
import { inboxRepository } from '../replicas/inbox.repository.js';
import { presenceRepository } from '../replicas/presence.repository.js';
import { defaultTimes, type ReplicaTimes } from '../replicas/replica-times.js';
import { runClaims } from '../replicas/run-claims.repository.js';
import { checkSharedBlobs, checkSharedSecrets } from '../replicas/shared-marks.repository.js';
import { openSignalLine } from '../replicas/signal-line.adapter.js';
import type { SignalLine } from '../replicas/signals.js';
import type { EngineStore } from '../rounds/engine-store.js';
import type { SharedFolds } from '../rounds/shared-folds.js';
import type { TransferMeter } from '../rounds/transferred.js';
import type { Database } from '../store/schema.js';
import type { CoordinatorKeys } from './keys.adapter.js';
import type { Log } from './log.js';
import { systemTimers } from './timers.adapter.js';
import { version } from './version.js';

export interface ReplicaOptions {
  readonly db: Kysely<Database>;
  /** Of the PostgreSQL server. */
  readonly url: string;
  readonly keys: CoordinatorKeys;
  readonly blobs: BlobStore;
  readonly leaseMs: number;
  readonly log: Log;
}

export interface Replica {
  readonly signals: SignalLine;
  readonly times: ReplicaTimes;
  /** The database's clock, which all replicas share. */
  readonly clock: Clock;
  join(of: JoinOptions): { readonly others: Cluster; readonly folds: SharedFolds };
}

export interface JoinOptions {
  readonly hub: Hub;
  readonly meter: TransferMeter;
  readonly sums: PartialSums;
  readonly store: EngineStore;
}

/** Throws KEYS_DIFFER or BLOBS_NOT_SHARED where this coordinator does not fit the others. */
export async function openReplica({ db, url, keys, blobs, leaseMs, log }: ReplicaOptions): Promise<Replica> {
  await checkSharedSecrets(db, {
    caCertificate: keys.ca.certificatePem,
    identityKey: keys.identity.publicKey,
    masterKey: keys.masterKey,
  });
  await checkSharedBlobs(db, blobs);
  const id = keys.instanceId;
  const times: ReplicaTimes = {
    ...defaultTimes,
    leaseMs,
    renewMs: Math.min(defaultTimes.renewMs, leaseMs / 4),
    sweepMs: Math.min(defaultTimes.sweepMs, leaseMs / 2),
    answerMs: leaseMs * 1.5,
  };
  const clock = databaseClock(db);
  await clock.adjust();
  const signals = await openSignalLine(url, log);
  return {
    signals,
    times,
    clock,
    join: ({ hub, meter, sums, store }) => {
      const jobs = foldJobs(db, { owner: id, leaseMs });
      const claims = runClaims(db, { owner: id, leaseMs });
      const of = { timers: systemTimers, logger: log };
      const { masterKey } = keys;
      const worker = { ...of, jobs, sums, store, claims, masterKey, leaseMs };
      const others = cluster({
        ...of,
        id,
        clock,
        presence: presenceRepository(db, { id, version, leaseMs }),
        inbox: inboxRepository(db),
        claims,
        signals,
        hub,
        meter,
        times,
        random: () => randomInt(1_000_000) / 1_000_000,
        adjustClock: () => clock.adjust(),
        takeFoldJobs: (isStopping) => takeFoldJobs(worker, isStopping),
        foldJobs: jobs,
      });
      const isStopping = (): boolean => others.isStopping();
      return { others, folds: sharedFolds({ ...of, jobs, sums, blobs, signals, isStopping }) };
    },
  };
}

/** The process's clock moved to the database's: replicas judge each other's deadlines. */
function databaseClock(db: Kysely<Database>): Clock & { adjust(): Promise<void> } {
  let aheadMs = 0;
  return {
    nowMs: () => Date.now() + aheadMs,
    adjust: async () => {
      const askedAtMs = Date.now();
      const { rows } = await sql<{ now: number }>`select ${databaseNow} as now`.execute(db);
      const answeredAtMs = Date.now();
      if (rows[0] !== undefined) aheadMs = Math.round(rows[0].now - (askedAtMs + answeredAtMs) / 2);
    },
  };
}
