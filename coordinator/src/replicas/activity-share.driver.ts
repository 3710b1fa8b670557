/** What agents say of their work and what passes of their bytes, told to the other replicas about once a second; no rows. */
import type { LocalRuns } from '../rounds/elsewhere.js';
import type { Heartbeat } from '../rounds/rounds.js';
import { transferredSince, type TransferMeter } from '../rounds/transferred.js';
import { inParts } from './notify.repository.js';
import type { SignalLine } from './signals.js';

export interface ActivityShare {
  note(agentId: string, heartbeat: Heartbeat): void;
  /** Tells the others what was noted since the last time. */
  tell(): void;
  /** Bytes at all replicas. */
  readonly meter: TransferMeter;
}

/** Of activities, states and the like in a heartbeat, which other replicas only show. */
const shownCharacters = 500;

export function activityShare(
  replica: string,
  signals: SignalLine,
  { meter, local }: { readonly meter: TransferMeter; readonly local: () => LocalRuns | undefined },
): ActivityShare {
  const passed = transferredSince(meter);
  const noted = new Map<string, Heartbeat>();
  const remote = new Map<string, { readonly up: number; readonly down: number }>();

  signals.on('activity', (told) => {
    if (told.replica === replica) return;
    for (const [agentId, heartbeat] of told.heartbeats) local()?.heard(agentId, heartbeat as Heartbeat);
    for (const [agentId, up, down] of told.bytes) remote.set(agentId, sum(remote.get(agentId), { up, down }));
  });

  return {
    note: (agentId, heartbeat) => void noted.set(agentId, heartbeat),
    tell: () => {
      const heartbeats = [...noted].filter(([, heartbeat]) => JSON.stringify(heartbeat).length < shownCharacters);
      noted.clear();
      const bytes = Object.entries(passed()).map(([id, { up, down }]) => [id, up, down] as const);
      for (const part of inParts(heartbeats, (one) => JSON.stringify(one).length + 1)) {
        signals.send('activity', { replica, heartbeats: part, bytes: [] });
      }
      for (const part of inParts(bytes, (one) => JSON.stringify(one).length + 1)) {
        signals.send('activity', { replica, heartbeats: [], bytes: part });
      }
    },
    meter: {
      byAgent: () => {
        const all = new Map(meter.byAgent());
        for (const [agentId, bytes] of remote) all.set(agentId, sum(all.get(agentId), bytes));
        return all;
      },
    },
  };
}

type Bytes = { readonly up: number; readonly down: number };

function sum(known: Bytes | undefined, more: Bytes): Bytes {
  return { up: (known?.up ?? 0) + more.up, down: (known?.down ?? 0) + more.down };
}
