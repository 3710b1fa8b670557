/**
 * The arithmetic of a round, done in worker threads: opening sealed updates and folding them.
 * Requests and answers are plain data, so that they cross a thread as they are.
 */
import type { BlobRef } from '@graft/models/pipeline/pipeline';

import type { AggregationReport } from '../rounds/machine/state.js';
import type { Opened } from '../rounds/admission.js';
import type { FoldShape } from './fold-plan.js';

/** One sealed update: its ciphertext is a blob, the manifest says how it is sealed. */
export interface SealedUpdate {
  readonly agentId: string;
  /** The signed bytes of the UpdateManifest. */
  readonly manifest: Uint8Array;
  readonly ciphertext: BlobRef;
  readonly exampleCount: number;
}

export interface OpenRequest {
  readonly update: SealedUpdate;
  /** X25519 secret key of the round; in this process's memory only. */
  readonly roundSecretKey: Uint8Array;
  readonly parameterCount: number;
}

/** An update as it counts in a fold: a round may take updates that were sealed to an earlier round's key. */
export interface WeighedUpdate extends SealedUpdate {
  /** X25519 secret key of the round whose plan the agent got; in this process's memory only. */
  readonly roundSecretKey: Uint8Array;
  /** How much of its share it counts, in (0, 1]: less than 1 where it started from an earlier base. */
  readonly weight: number;
}

export interface FoldRequest {
  /** In canonical order: by agent id. They are summed as fold-plan.ts says. */
  readonly updates: readonly WeighedUpdate[];
  /** The master weights that the deltas are added to: a safetensors file of float32 tensors. */
  readonly base: BlobRef;
  readonly parameterCount: number;
  /** How they are grouped; `foldShape` where it is not given. */
  readonly shape?: FoldShape;
}

export interface FoldResult {
  readonly weights: BlobRef;
  readonly fp16: BlobRef;
  readonly report: AggregationReport;
}

/** The sum of some updates, float64, as a blob: [example count, update count, elements in layout order], little-endian. */
export type PartialSum = BlobRef;

/** Parts of a fold, for several machines: what they add up to has the bits of one fold of all updates in the same plan. */
export interface PartialSums {
  /** Sums a group of updates from zero, in the order given. */
  group(request: { readonly updates: readonly WeighedUpdate[]; readonly parameterCount: number }): Promise<PartialSum>;
  /** Sums partial sums from zero, in the order given. */
  join(request: { readonly parts: readonly PartialSum[]; readonly parameterCount: number }): Promise<PartialSum>;
  /** The weighted mean of a whole sum over the base. */
  finish(request: {
    readonly sum: PartialSum;
    readonly base: BlobRef;
    readonly parameterCount: number;
  }): Promise<FoldResult>;
}

export interface Aggregator {
  /** Opens an update chunk by chunk, keeps nothing of it, and says what was found. */
  open(request: OpenRequest): Promise<Opened>;
  /** The weighted mean of the updates over the base, as two new blobs. The same inputs give the same bytes. */
  fold(request: FoldRequest): Promise<FoldResult>;
  close(): Promise<void>;
}
