/** Takes jobs of folds, one at a time: each replica runs one. The keys are opened here, out of the run as it is stored. */
import type { Timers } from '@graft/core/clock';
import { GraftError } from '@graft/core/error';

import type { PartialSum, PartialSums, WeighedUpdate } from '../../compute/aggregation.js';
import type { EngineStore } from '../../rounds/engine-store.js';
import { keyOf } from '../../rounds/material.js';
import { openSecretKey } from '../../rounds/round-keys.adapter.js';
import type { Logger } from '../../rounds/rounds.js';
import type { RunClaims } from '../run-claims.js';
import type { ClaimedJob, FoldJobs, FoldWork, NamedUpdate } from './fold-jobs.js';

export interface FoldWorkerPorts {
  readonly jobs: FoldJobs;
  readonly sums: PartialSums;
  readonly store: Pick<EngineStore, 'updates'>;
  readonly claims: Pick<RunClaims, 'stored'>;
  readonly masterKey: Uint8Array;
  readonly timers: Timers;
  readonly leaseMs: number;
  readonly logger: Logger;
}

/** Takes jobs until there is none to be had, or until `isStopping`. */
export async function takeFoldJobs(ports: FoldWorkerPorts, isStopping: () => boolean): Promise<void> {
  while (!isStopping()) {
    const job = await ports.jobs.claim();
    if (job === undefined) return;
    await perform(job, ports);
  }
}

async function perform(job: ClaimedJob, ports: FoldWorkerPorts): Promise<void> {
  const { jobs, timers, leaseMs, logger } = ports;
  const { foldId, place } = job;
  let cancel = (): void => undefined;
  const keep = (): void => {
    cancel = timers.after(leaseMs / 3, () => {
      keep();
      jobs.renew(job).catch((error: unknown) => logger.warn({ foldId, place, err: error }, 'a job could not be kept'));
    });
  };
  keep();
  try {
    const sum = await sumOf(job, ports);
    if (!(await jobs.done(job, sum)))
      logger.warn({ foldId, place }, 'another replica has taken over this part of a fold');
  } catch (error) {
    logger.error({ foldId, place, err: error }, 'a part of a fold failed');
    await jobs.failed(job, error instanceof Error ? error.message : String(error));
  } finally {
    cancel();
  }
}

async function sumOf({ work, parts }: ClaimedJob, ports: FoldWorkerPorts): Promise<PartialSum> {
  const { parameterCount } = work;
  if (work.kind === 'join') return ports.sums.join({ parts, parameterCount });
  return ports.sums.group({ updates: await openedUpdates(work, ports), parameterCount });
}

/** The updates of a group with their keys, in the order of the job. */
async function openedUpdates(
  { runId, updates }: Extract<FoldWork, { kind: 'group' }>,
  { store, claims, masterKey }: FoldWorkerPorts,
): Promise<WeighedUpdate[]> {
  const run = await claims.stored(runId);
  if (run === undefined) throw new GraftError('INTERNAL', `run ${runId} is over`);
  const rounds = [...new Set(updates.map(({ round }) => round))];
  const found = await Promise.all(
    rounds.map(async (round) => {
      const key = keyOf(run, round);
      if (key === undefined) throw new GraftError('INTERNAL', `round ${round} of run ${runId} has no key any more`);
      const nonces = updates.filter((update) => update.round === round).map(({ nonce }) => nonce);
      const roundSecretKey = openSecretKey(key, masterKey);
      return (await store.updates(runId, round, nonces)).map((update) => ({ ...update, roundSecretKey }));
    }),
  );
  const byAgent = new Map(found.flat().map((update) => [update.agentId, update]));
  return updates.map(({ agentId, weight }: NamedUpdate) => {
    const update = byAgent.get(agentId);
    if (update === undefined) throw new GraftError('INTERNAL', `the accepted update of agent ${agentId} is not stored`);
    return { ...update, weight };
  });
}
