/** All blobs of one agent, to and from it: they share its rates, and a blob that two jobs want is fetched once. */
import type { Clock, Timers } from '@graft/core/clock';
import { GraftError } from '@graft/core/error';
import type { BlobRef } from '@graft/models/pipeline/pipeline';
import type { FederationClient } from '@graft/protos/clients.adapter';
import { both, pace, type Pace } from '@graft/protos/transfer/pace';
import { parseRate } from '@graft/protos/transfer/rate';
import { silentMs as usualSilentMs } from '@graft/protos/transfer/silence';

import type { BlobCache } from '../daemon/blob-cache.adapter.js';
import { download, type DownloadOptions } from './download.adapter.js';
import { wantsDelta, type TransferSettings } from './settings.js';
import { upload, type UploadOptions } from './upload.adapter.js';

/** What a plan says of one task; 0 where it says nothing. */
export interface TaskRates {
  readonly maxUploadBytesPerS?: number;
  readonly maxDownloadBytesPerS?: number;
}

export interface AgentTransfers {
  /** One attempt at a blob that is not here. Throws what `download` throws. */
  fetch(client: FederationClient, blob: BlobRef, options: Omit<DownloadOptions, 'wantsDelta'>): Promise<void>;
  send(
    client: FederationClient,
    source: { readonly file: string; readonly blob: BlobRef },
    options: UploadOptions,
  ): Promise<void>;
  /** Holds to what the plan in hand allows, beside what the site allows. */
  limit(rates: TaskRates): void;
  /** Makes room, but not of what a plan in hand names. */
  prune(inHand: readonly BlobRef[], maxBytes: number): Promise<void>;
}

export interface TransferPorts {
  readonly cache: BlobCache;
  readonly settings: TransferSettings;
  readonly time: Clock & Timers;
  readonly silentMs?: number;
}

/** A download that is shorter says nothing of the line. */
const measuredBytes = 1 << 20;

/** Plans whose blobs stay: as many as an agent works on at once. */
const plansInHand = 8;

export function agentTransfers({ cache, settings, time, silentMs = usualSilentMs }: TransferPorts): AgentTransfers {
  const rateOf = (text: string | undefined): number | undefined => (text === undefined ? undefined : parseRate(text));
  const site = { up: pace(rateOf(settings.maxUpload), time), down: pace(rateOf(settings.maxDownload), time) };
  const task = changingPace(time);
  const up = both(site.up, task.up);
  const down = both(site.down, task.down);
  const turns = new Map<string, Promise<unknown>>();
  const plans: ReadonlySet<string>[] = [];
  let bytesPerS: number | undefined;

  const fetchNow = async (
    client: FederationClient,
    blob: BlobRef,
    options: Omit<DownloadOptions, 'wantsDelta'>,
    deltas: boolean,
  ): Promise<void> => {
    if (await cache.has(blob)) return;
    const startedAtMs = time.nowMs();
    const ports = { cache, pace: down, time, silentMs };
    const { bytes, isDelta } = await download(ports, client, blob, { ...options, wantsDelta: deltas });
    const seconds = Math.max(1, time.nowMs() - startedAtMs) / 1000;
    if (!isDelta && bytes >= measuredBytes) bytesPerS = bytes / seconds;
  };

  return {
    fetch: async (client, blob, options) => {
      const mine = afterTurn(turns.get(blob.hash), async () => {
        try {
          await fetchNow(client, blob, options, wantsDelta(settings, bytesPerS));
        } catch (error) {
          if (!(error instanceof GraftError && error.code === 'DELTA_INVALID')) throw error;
          await fetchNow(client, blob, options, false);
        }
      });
      turns.set(blob.hash, mine);
      try {
        await mine;
      } finally {
        if (turns.get(blob.hash) === mine) turns.delete(blob.hash);
      }
    },
    send: (client, source, options) => upload({ pace: up, time, silentMs }, client, source, options),
    limit: (rates) => task.limit(rates),
    prune: async (inHand, maxBytes) => {
      plans.unshift(new Set(inHand.map(({ hash }) => hash)));
      plans.splice(plansInHand);
      await cache.prune(new Set(plans.flatMap((hashes) => [...hashes])), maxBytes, time.nowMs());
    },
  };
}

/** Does `work` once the turn before is over, however it ended. */
async function afterTurn(before: Promise<unknown> | undefined, work: () => Promise<void>): Promise<void> {
  await Promise.allSettled([before]);
  await work();
}

/** Paces of the plan that came last; a plan with the same rates goes on with the same pace. */
function changingPace(time: Clock & Timers): { up: Pace; down: Pace; limit(rates: TaskRates): void } {
  const of = (): { take: Pace['take']; set(bytesPerS: number): void } => {
    let rate = 0;
    let now = pace(undefined, time);
    return {
      take: (bytes, signal) => now.take(bytes, signal),
      set: (bytesPerS) => {
        if (bytesPerS === rate) return;
        rate = bytesPerS;
        now = pace(bytesPerS > 0 ? bytesPerS : undefined, time);
      },
    };
  };
  const [up, down] = [of(), of()];
  return {
    up,
    down,
    limit: ({ maxUploadBytesPerS = 0, maxDownloadBytesPerS = 0 }) => {
      up.set(maxUploadBytesPerS);
      down.set(maxDownloadBytesPerS);
    },
  };
}
