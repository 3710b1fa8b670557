/** What a run works on, fixed when it starts: small JSON beside the machine's state, so that a plan can be built at any time. */
import type { BlobRef, Pipeline } from '@graft/models/pipeline/pipeline';

import type { Transferred } from './machine/record.js';
import type { RunState } from './machine/state.js';

export type RunMaterial = FitMaterial | ProbeMaterial;

interface EveryMaterial {
  readonly taskId: string;
  /** sha256 of the canonical layout of the tensors that are trained, and their elements. */
  readonly layoutHash: string;
  readonly parameterCount: number;
}

export interface FitMaterial extends EveryMaterial {
  readonly kind: 'fit';
  /** In fp32, without the trained tensors: the checkpoint of a round completes the tail. */
  readonly pipeline: Pipeline;
  /** JSON of the task's training options. */
  readonly training: string;
  /** Blob of the hold-out examples. */
  readonly holdOut?: string;
}

export interface ProbeMaterial extends EveryMaterial {
  readonly kind: 'probe';
  readonly add: number;
}

/** The X25519 key pair of one round; the secret half is sealed with the coordinator's master key. */
export interface StoredRoundKey {
  readonly round: number;
  /** Hex. */
  readonly publicKey: string;
  readonly signature: string;
  readonly sealedSecretKey: string;
}

/** The JSON in runs.state. */
export interface StoredRun {
  readonly machine: RunState;
  readonly material: RunMaterial;
  readonly roundKey?: StoredRoundKey;
  /** Keys of earlier rounds whose plans agents still work on. */
  readonly earlierKeys?: readonly StoredRoundKey[];
  /** Bytes of blobs that each agent received and sent while this round was in hand. */
  readonly transferred: { readonly round: number; readonly agents: Transferred };
}

/** The key that an update of this round is sealed to; undefined where the round has none, or none any more. */
export function keyOf({ roundKey, earlierKeys = [] }: StoredRun, round: number): StoredRoundKey | undefined {
  return roundKey?.round === round ? roundKey : earlierKeys.find((key) => key.round === round);
}

/** The pipeline with a checkpoint as the last of the tail's weights. */
export function withCheckpoint(pipeline: Pipeline, checkpoint: BlobRef): Pipeline {
  return { ...pipeline, tail: { ...pipeline.tail, weights: [...pipeline.tail.weights, checkpoint] } };
}
