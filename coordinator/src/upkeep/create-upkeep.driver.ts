/** Backups and sweeps of the coordinator that runs, and the sweep that comes by itself. */
import { join } from 'node:path';

import { sql, type Kysely } from 'kysely';

import type { Clock, Timers } from '@graft/core/clock';
import { GraftError } from '@graft/core/error';

import { writeBackup } from '../backup/backup.driver.js';
import type { BlobStore } from '../blobs/blob-store.js';
import type { BlobShelf } from '../blobs/shelf.js';
import type { Config } from '../config/config.js';
import { sweep } from '../retention/sweep.driver.js';
import type { Log } from '../server/log.js';
import { auditHead, firstBrokenAudit } from '../store/audit.repository.js';
import type { Database } from '../store/schema.js';
import type { Upkeep } from './upkeep.js';

type Settings = Pick<
  Config,
  | 'db'
  | 'keys'
  | 'sweepMinutes'
  | 'keepEventsDays'
  | 'keepUpdateRounds'
  | 'keepCheckpoints'
  | 'keepSettledMinutes'
  | 'blobGraceMinutes'
>;

export interface UpkeepOptions {
  readonly directory: string;
  readonly settings: Settings;
  readonly db: Kysely<Database>;
  readonly blobs: BlobStore;
  readonly shelf: BlobShelf;
  readonly version: string;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
}

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

export interface RunningUpkeep extends Upkeep {
  /** Resolves when the sweep in hand has ended. */
  close(): Promise<void>;
}

export function createUpkeep(options: UpkeepOptions): RunningUpkeep {
  const { directory, settings, db, blobs, clock, timers, log } = options;
  const keep = {
    eventsMs: settings.keepEventsDays * dayMs,
    updateRounds: settings.keepUpdateRounds,
    checkpoints: settings.keepCheckpoints,
    settledMs: settings.keepSettledMinutes * minuteMs,
  };
  const sweepNow = async (dryRun: boolean): ReturnType<typeof sweep> => {
    const report = await sweep(
      { db, blobs, shelf: options.shelf, keep, graceMs: settings.blobGraceMinutes * minuteMs },
      { atMs: clock.nowMs(), dryRun },
    );
    // A PostgreSQL server does it by itself; the embedded one would never use the room of a removed row again.
    if (settings.db === undefined && report !== undefined && !dryRun) await sql`vacuum`.execute(db);
    return report;
  };

  /** The head of the audit log goes to the log as well: who cuts the one cannot cut the other. */
  async function noteAudit(): Promise<void> {
    const broken = await firstBrokenAudit(db);
    if (broken === undefined) log.info({ audit: await auditHead(db) }, 'the audit log is whole');
    else log.error({ seq: broken }, 'the audit log was changed: from this row on it does not fit');
  }

  let stopped = false;
  let inHand = Promise.resolve();
  let cancel = (): void => undefined;
  async function byItself(): Promise<void> {
    try {
      const report = await sweepNow(false);
      if (report !== undefined) log.info({ sweep: report }, 'swept what nothing needs any more');
      await noteAudit();
    } catch (error) {
      log.error({ err: error }, 'the sweep failed; the next one comes by itself');
    }
    schedule();
  }
  function schedule(): void {
    if (stopped || settings.sweepMinutes === 0) return;
    cancel = timers.after(settings.sweepMinutes * minuteMs, () => {
      inHand = byItself();
    });
  }
  schedule();

  return {
    backup: async ({ name, passphrase }) => {
      const folder = join(directory, 'backups', name);
      const keysFolder = settings.keys ?? join(directory, 'keys');
      const { version } = options;
      const manifest = await writeBackup({ db, blobs, keysFolder, version, atMs: clock.nowMs() }, folder, passphrase);
      const sizeBytes = manifest.blobs.reduce((sum, blob) => sum + blob.sizeBytes, 0);
      log.info({ folder, blobs: manifest.blobs.length, sizeBytes, keys: manifest.keys }, 'wrote a backup');
      return { folder, blobs: manifest.blobs.length, sizeBytes, keys: manifest.keys };
    },
    sweep: async ({ dryRun }) => {
      const report = await sweepNow(dryRun);
      if (report === undefined) throw new GraftError('ALREADY_EXISTS', 'another sweep runs at this moment');
      return report;
    },
    close: async () => {
      stopped = true;
      cancel();
      await inHand;
    },
  };
}
