/**
 * The arithmetic of a round, done in worker threads: opening sealed updates and folding them.
 * Requests and answers are plain data, so that they cross a thread as they are.
 */
import type { BlobRef } from '@graft/models/pipeline/pipeline';

import type { AggregationReport } from '../rounds/machine/state.js';
import type { Opened } from '../rounds/admission.js';

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
  /** In canonical order: by agent id. */
  readonly updates: readonly WeighedUpdate[];
  /** The master weights that the deltas are added to: a safetensors file of float32 tensors. */
  readonly base: BlobRef;
  readonly parameterCount: number;
}

export interface FoldResult {
  readonly weights: BlobRef;
  readonly fp16: BlobRef;
  readonly report: AggregationReport;
}

export interface Aggregator {
  /** Opens an update chunk by chunk, keeps nothing of it, and says what was found. */
  open(request: OpenRequest): Promise<Opened>;
  /** The weighted mean of the updates over the base, as two new blobs. The same inputs give the same bytes. */
  fold(request: FoldRequest): Promise<FoldResult>;
  close(): Promise<void>;
}
