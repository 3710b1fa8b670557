/** Folds of large cohorts, by all replicas: the owner writes the jobs down, waits for the sum of sums, and applies it to the base. */
import type { Timers } from '@graft/core/clock';
import { GraftError } from '@graft/core/error';

import type { BlobStore } from '../../blobs/blob-store.js';
import type { FoldResult, PartialSums } from '../../compute/aggregation.js';
import { foldPlan, foldShape, type FoldShape } from '../../compute/fold-plan.js';
import type { Lease } from '../../rounds/engine-store.js';
import type { SharedFolds } from '../../rounds/shared-folds.js';
import type { Logger } from '../../rounds/rounds.js';
import type { SignalLine } from '../signals.js';
import type { FoldJobs, FoldState, NamedUpdate, NewFoldJob } from './fold-jobs.js';

export interface SharedFoldsPorts {
  readonly jobs: FoldJobs;
  readonly sums: PartialSums;
  readonly blobs: Pick<BlobStore, 'delete'>;
  readonly signals: SignalLine;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly shape?: FoldShape | undefined;
  readonly isStopping: () => boolean;
}

/** How often the owner looks by itself. */
const lookMs = 1_000;

export function sharedFolds(ports: SharedFoldsPorts): SharedFolds {
  const { jobs, sums, blobs, signals, timers, logger, shape = foldShape, isStopping } = ports;
  const waiting = new Map<string, Set<() => void>>();
  signals.on('folds', ({ foldId }) => waiting.get(foldId)?.forEach((wake) => wake()));

  function signalled(foldId: string): Promise<void> {
    return new Promise((resolve) => {
      const wakes = waiting.get(foldId) ?? new Set();
      waiting.set(foldId, wakes);
      const wake = (): void => {
        cancel();
        wakes.delete(wake);
        if (wakes.size === 0) waiting.delete(foldId);
        resolve();
      };
      const cancel = timers.after(lookMs, wake);
      wakes.add(wake);
    });
  }

  async function ended(foldId: string, plan: readonly NewFoldJob[], lease: Lease): Promise<FoldState> {
    for (;;) {
      const next = signalled(foldId);
      const state = await jobs.state(foldId);
      if (state.kind === 'done' || state.kind === 'failed') return state;
      if (isStopping()) throw new GraftError('UNAVAILABLE', `fold ${foldId} is left to another coordinator`);
      if (state.kind === 'unknown') await jobs.plan(foldId, plan, lease);
      await next;
    }
  }

  return {
    takes: (count) => count > shape.alone,
    fold: async ({ lease, round, attempt, updates, base, parameterCount }): Promise<FoldResult> => {
      const { runId } = lease;
      const foldId = `${runId}/${round}/${attempt}`;
      const plan = jobsOf(runId, updates, { shape, parameterCount });
      const state = await ended(foldId, plan, lease);
      if (state.kind !== 'done') {
        await jobs.remove(foldId, lease);
        throw new GraftError('AGGREGATION_FAILED', state.kind === 'failed' ? state.message : 'the fold has gone');
      }
      const result = await sums.finish({ sum: state.sum, base, parameterCount });
      for (const { hash } of await jobs.remove(foldId, lease)) await blobs.delete(hash);
      logger.info({ runId, round, updates: updates.length, jobs: plan.length }, 'a fold was shared by the replicas');
      return result;
    },
  };
}

function jobsOf(
  runId: string,
  updates: readonly NamedUpdate[],
  { shape, parameterCount }: { readonly shape: FoldShape; readonly parameterCount: number },
): NewFoldJob[] {
  return foldPlan(updates.length, shape).map((node) => ({
    work:
      node.kind === 'group'
        ? { kind: 'group', runId, parameterCount, updates: updates.slice(node.from, node.to) }
        : { kind: 'join', parameterCount, children: node.children },
    ...(node.parent !== undefined && { parent: node.parent }),
  }));
}
