/**
 * This coordinator among others on one database. What matters is in rows; signals only make it quick, and every wait for one
 * also looks by itself. Leases end by the database's clock alone.
 */
import type { Clock, Timers } from '@graft/core/clock';

import type { Elsewhere, LocalRuns } from '../rounds/elsewhere.js';
import type { InstructionHub, Logger } from '../rounds/rounds.js';
import type { TransferMeter } from '../rounds/transferred.js';
import { activityShare } from './activity-share.driver.js';
import type { FoldJobs } from './folds/fold-jobs.js';
import type { Inbox } from './inbox.js';
import { mailroom } from './mailroom.driver.js';
import type { Presence } from './presence.js';
import { recentRuns } from './recent-runs.js';
import { repeat, type Repeated } from './repeat.js';
import type { ReplicaTimes } from './replica-times.js';
import type { RunClaims } from './run-claims.js';
import type { SignalLine } from './signals.js';
import { takeRuns } from './take-runs.driver.js';
import { watch } from './watch.driver.js';

export interface ClusterPorts {
  /** Names this replica among the others. */
  readonly id: string;
  readonly presence: Presence;
  readonly inbox: Inbox;
  readonly claims: RunClaims;
  readonly signals: SignalLine;
  readonly hub: Pick<InstructionHub, 'wake'>;
  /** Bytes that passed at this replica. */
  readonly meter: TransferMeter;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly times: ReplicaTimes;
  /** In [0, 1). */
  readonly random: () => number;
  /** Called with every renewal: the clock of the runs is the database's. */
  readonly adjustClock: () => Promise<void>;
  /** Takes jobs of folds until there is none to be had. */
  readonly takeFoldJobs: (isStopping: () => boolean) => Promise<void>;
  readonly foldJobs: Pick<FoldJobs, 'purge'>;
}

export interface Cluster extends Elsewhere {
  /** True once this replica gives up its runs. */
  isStopping(): boolean;
  /** Agents with a stream at any replica, as seen last. */
  readonly known: ReadonlySet<string>;
}

/** Answered messages are kept so long, milliseconds: for people who look for what happened. */
const keptMs = 3_600_000;

export function cluster(ports: ClusterPorts): Cluster {
  const { presence, claims, inbox, signals, hub, timers, logger, times, random } = ports;
  let local: LocalRuns | undefined;
  let draining = false;
  let repeated: readonly Repeated[] = [];
  const changed = new Set<string>();

  const who = watch(presence, () => local);
  const mail = mailroom({
    inbox,
    signals,
    timers,
    logger,
    times,
    isOpen: (runId) => claims.isOpen(runId),
  });
  const share = activityShare(ports.id, signals, { meter: ports.meter, local: () => local });

  const every =
    (ms: number): (() => number) =>
    () =>
      ms * (1 - random() / 5);

  async function begin(runs: LocalRuns): Promise<void> {
    local = runs;
    // The streams of a former life are gone.
    await presence.leave();
    await who.renew(draining);
    for (const owned of await claims.claimOwn()) await runs.adopt(owned);
    const of = { timers, logger };
    const letters = repeat(() => mail.deliver(runs), {
      ...of,
      what: 'bringing messages to runs',
      everyMs: every(times.sweepMs),
    });
    const taking = repeat(
      async () => {
        if (draining) return;
        if ((await takeRuns({ presence, claims, runs, logger })) === 'gave one back') signals.send('runs', {});
        await letters.now();
      },
      { ...of, what: 'taking runs', everyMs: every(times.renewMs) },
    );
    const renewing = repeat(
      async () => {
        await Promise.all([who.renew(draining), runs.renew(), ports.adjustClock()]);
      },
      { ...of, what: 'renewing leases', everyMs: every(times.renewMs) },
    );
    const looking = repeat(
      async () => {
        await who.look();
        for (const agentId of await presence.instructed()) hub.wake(agentId);
      },
      { ...of, what: 'looking for agents', everyMs: every(times.sweepMs) },
    );
    const telling = repeat(async () => share.tell(), {
      ...of,
      what: 'telling of activity',
      everyMs: () => times.activityMs,
    });
    const changes = repeat(
      async () => {
        const some = [...changed];
        changed.clear();
        if (some.length > 0) await who.look(some);
      },
      { ...of, what: 'looking at agents', everyMs: every(times.sweepMs) },
    );
    const folding = repeat(() => ports.takeFoldJobs(() => draining), {
      ...of,
      what: 'taking parts of folds',
      everyMs: every(times.renewMs),
    });
    const purge = async (): Promise<void> => {
      await inbox.purge(keptMs);
      await ports.foldJobs.purge(24 * keptMs);
    };
    const purging = repeat(purge, {
      ...of,
      what: 'removing old messages',
      everyMs: every(keptMs / 10),
    });
    repeated = [letters, taking, renewing, looking, telling, changes, folding, purging];
    listen({ letters, taking, looking, changes, folding });
    await looking.now();
    await taking.now();
  }

  function listen(on: Readonly<Record<'letters' | 'taking' | 'looking' | 'changes' | 'folding', Repeated>>): void {
    signals.on('inbox', ({ runId }) => {
      if (local?.owner(runId) !== undefined) void on.letters.now();
    });
    signals.on('runs', () => void on.taking.now());
    signals.on('wake', ({ agentIds }) => agentIds.forEach((agentId) => hub.wake(agentId)));
    signals.on('presence', ({ agentIds }) => {
      for (const agentId of agentIds) changed.add(agentId);
      void on.changes.now();
    });
    signals.on('paused', ({ agentId, reason }) => {
      local?.tellPaused(agentId, reason).catch((error: unknown) => {
        logger.warn({ agentId, err: error }, 'a run could not be told that an agent is paused');
      });
    });
    signals.on('folds', () => void on.folding.now());
    signals.onResume(() => {
      for (const one of [on.letters, on.taking, on.looking, on.folding]) void one.now();
    });
  }

  return {
    known: who.known,
    isStopping: () => draining,
    stored: recentRuns((runId) => claims.stored(runId), ports.clock),
    isOpen: (runId) => claims.isOpen(runId),
    training: (agentId) => claims.training(agentId),
    confirm: (lease) => claims.confirm(lease),
    send: (runId, key, message) => mail.send(runId, key, message),
    connected: () => presence.connected(),
    agentConnected: (agentId) => who.opened(agentId),
    agentLost: (agentId) => who.closed(agentId),
    agentPaused: async (agentId, reason) => {
      // Not among those that are connected any more: a run that missed the signal takes it for one that is away.
      await who.closed(agentId);
      await local?.tellPaused(agentId, reason);
      signals.send('paused', { agentId, reason });
    },
    progress: (agentId, heartbeat) => share.note(agentId, heartbeat),
    meter: share.meter,
    begin,
    handOver: async () => {
      draining = true;
      await who.renew(true);
      const mine = local?.owners().map(({ lease }) => lease.runId) ?? [];
      await Promise.all(mine.map(async (runId) => local?.letGo(runId)));
      if (mine.length > 0) logger.info({ runs: mine.length }, 'the runs of this coordinator are given to the others');
      signals.send('runs', {});
    },
    end: async () => {
      draining = true;
      await Promise.all(repeated.map((one) => one.stop()));
      await presence.leave();
    },
  };
}
