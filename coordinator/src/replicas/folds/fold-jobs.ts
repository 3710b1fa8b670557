/**
 * The jobs of a fold that all replicas share: a group of updates to sum, or partial sums to join. A port. A job is claimed under a
 * lease with a fence; it is ready when the jobs that it waits for are done. It carries no key and no update: it names them.
 */
import type { BlobRef } from '@graft/models/pipeline/pipeline';

import type { PartialSum } from '../../compute/aggregation.js';
import type { Lease } from '../../rounds/engine-store.js';

/** An update of a group: where it is stored, and how it counts. */
export interface NamedUpdate {
  readonly agentId: string;
  readonly nonce: string;
  /** Whose plan the agent got: the round whose key the update is sealed to. */
  readonly round: number;
  readonly weight: number;
}

export type FoldWork =
  | {
      readonly kind: 'group';
      readonly runId: string;
      readonly parameterCount: number;
      readonly updates: readonly NamedUpdate[];
    }
  /** Places of the jobs whose sums are joined, in order. */
  | { readonly kind: 'join'; readonly parameterCount: number; readonly children: readonly number[] };

export interface NewFoldJob {
  readonly work: FoldWork;
  /** Place of the job that takes the sum; the last job has none. */
  readonly parent?: number;
}

export interface ClaimedJob {
  readonly foldId: string;
  readonly place: number;
  readonly fence: number;
  readonly work: FoldWork;
  /** Sums of the children of a join, in order. */
  readonly parts: readonly PartialSum[];
}

export type FoldState =
  | { readonly kind: 'unknown' }
  | { readonly kind: 'going on' }
  | { readonly kind: 'done'; readonly sum: PartialSum }
  | { readonly kind: 'failed'; readonly message: string };

export interface FoldJobs {
  /**
   * Writes the jobs of a fold down, each at its index; those that are there already stay as they are.
   * Throws LEASE_LOST where another replica owns the run.
   */
  plan(foldId: string, jobs: readonly NewFoldJob[], lease: Lease): Promise<void>;
  /** The oldest job that is ready and that nobody has; one whose lease ran out is claimed again, three times at most. */
  claim(): Promise<ClaimedJob | undefined>;
  /** Keeps a claim; false where it is lost. */
  renew(job: ClaimedJob): Promise<boolean>;
  /** The sum is stored; false where the claim was lost, and then nothing has changed. */
  done(job: ClaimedJob, sum: PartialSum): Promise<boolean>;
  /** The job is to be had again, or, after its last try, the fold has failed. */
  failed(job: ClaimedJob, message: string): Promise<void>;
  state(foldId: string): Promise<FoldState>;
  /** Removes a fold and answers the sums that it made; none where another replica owns the run by now, which may still need them. */
  remove(foldId: string, lease: Lease): Promise<readonly BlobRef[]>;
  /** Removes folds that were begun so long ago: their runs have ended without them. */
  purge(olderThanMs: number): Promise<void>;
}
