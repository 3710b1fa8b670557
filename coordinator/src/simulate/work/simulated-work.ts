/**
 * What a simulation has done for real: training and sealing at an agent, measuring a checkpoint. The machine, admission, opening
 * and folding are the coordinator's own. Requests and answers are plain data, so that they cross to another process.
 */
import type { BlobRef } from '@graft/models/pipeline/pipeline';
import type { Measures } from '@graft/models/evaluate/measures';

import type { Checkpoint } from '../../rounds/machine/state.js';

/** One agent's part of a round. */
export interface TrainRequest {
  readonly agentId: string;
  /** Its place in the population: chooses its examples. */
  readonly agent: number;
  readonly exampleCount: number;
  readonly taskId: string;
  readonly runId: string;
  readonly round: number;
  /** The fp16 checkpoint that it starts from. */
  readonly base: BlobRef;
  readonly layoutHash: string;
  readonly roundKey: Uint8Array;
  readonly roundKeySignature: Uint8Array;
  readonly identityKey: Uint8Array;
  readonly seed: number;
}

export interface TrainAnswer {
  /** Bytes of the UpdateManifest. */
  readonly manifest: Uint8Array;
  readonly ciphertext: BlobRef;
  readonly exampleCount: number;
}

export interface MeasureRequest {
  readonly checkpoint: BlobRef;
  /** Agents whose held-out examples are measured on; the hold-out of the coordinator where there are none given. */
  readonly agents?: readonly { readonly agent: number; readonly exampleCount: number }[];
}

/** What the processes of the pool need to know, beside the folder of the blobs. */
export interface Laboratory {
  readonly seed: number;
  /** JSON of the task. */
  readonly task: unknown;
  /** A safetensors file: features [N, F] float32, labels [N] int32, and the same under holdOut. */
  readonly dataFile?: string;
  /** Units of the hidden layers of the network. */
  readonly hidden: readonly number[];
  /** Concentration of the Dirichlet split. */
  readonly alpha: number;
}

/** What a run starts from. */
export interface Beginning {
  readonly checkpoint: Checkpoint;
  readonly layoutHash: string;
  readonly parameterCount: number;
  /** The graph of the network; a probe has none, and names its base instead. */
  readonly graph: BlobRef;
  /** Length of an example. */
  readonly features: number;
}

export interface SimulatedWork {
  begin(): Promise<Beginning>;
  /** One list for each of the agents that were asked for. */
  measure(request: MeasureRequest): Promise<readonly Measures[]>;
  /**
   * Training that is due at a virtual time. The pool takes what is due first; what nobody asks for any more is withdrawn
   * and, where it has not begun, never done.
   */
  train(request: TrainRequest, dueMs: number): PendingTraining;
}

export interface PendingTraining {
  readonly answer: Promise<TrainAnswer>;
  readonly withdraw: () => void;
}
