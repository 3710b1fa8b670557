/**
 * Spreads the open runs over the replicas that take runs: each takes of the free ones until it has its share, the runs divided by the
 * replicas, rounded up. Who has more than its share gives one back, where that costs nothing in hand.
 */
import type { LocalRuns } from '../rounds/elsewhere.js';
import type { Phase } from '../rounds/machine/state.js';
import type { Logger } from '../rounds/rounds.js';
import type { Presence } from './presence.js';
import type { RunClaims } from './run-claims.js';

export interface TakeRunsPorts {
  readonly presence: Pick<Presence, 'taking'>;
  readonly claims: Pick<RunClaims, 'claimFree' | 'open'>;
  readonly runs: LocalRuns;
  readonly logger: Logger;
}

/** Phases in which only agents work: nothing that the owner has begun is lost with it. */
const movable: ReadonlySet<Phase> = new Set(['selecting', 'training']);

export async function takeRuns({ presence, claims, runs, logger }: TakeRunsPorts): Promise<'took' | 'gave one back'> {
  const [replicas, open] = await Promise.all([presence.taking(), claims.open()]);
  const share = Math.ceil(open / Math.max(1, replicas));
  const mine = runs.owners();
  for (const owned of await claims.claimFree(share - mine.length)) {
    try {
      await runs.adopt(owned);
    } catch (error) {
      // It is owned here, and its owner reads it again by itself.
      logger.error({ runId: owned.lease.runId, err: error }, 'a run that was taken over did not go on at once');
    }
  }
  const spare = mine.length > share ? mine.find((owner) => movable.has(owner.current().machine.phase)) : undefined;
  if (spare === undefined) return 'took';
  await runs.letGo(spare.lease.runId);
  return 'gave one back';
}
