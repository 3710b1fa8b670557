/** What is done with models for a round, apart from the server: preparing a run, quantizing and evaluating its candidates. */
import type { ModelCard } from '@graft/models/pipeline/model-card';
import type { BlobRef, Part, Pipeline } from '@graft/models/pipeline/pipeline';
import type { FitTask, ProbeTask } from '@graft/models/pipeline/task-spec';
import type { TensorRange } from '@graft/protos/messages';

import type { CentralEvaluation, Checkpoint, QuantizedCandidate } from '../rounds/machine/state.js';
import type { RunMaterial } from '../rounds/material.js';

export interface PrepareInput {
  readonly taskId: string;
  readonly seed: number;
  readonly task: ProbeTask | FitTask;
  /** The base model of a fit task. */
  readonly model?: { readonly card: ModelCard; readonly graph: BlobRef; readonly weights: BlobRef };
}

export interface Prepared {
  readonly material: RunMaterial;
  /** The weights that round 1 starts from. */
  readonly base: Checkpoint;
}

/** Activation ranges as the agents of one round reported them, one entry an agent. */
export interface ReportedRanges {
  readonly agentId: string;
  readonly trunk: readonly TensorRange[];
  readonly tail: readonly TensorRange[];
}

export interface QuantizeInput {
  /** The candidate in fp32. */
  readonly pipeline: Pipeline;
  readonly ranges: readonly ReportedRanges[];
  /** The INT8 trunk of an earlier round of this run: it is not made again. */
  readonly frozenTrunk?: Part;
}

export interface QuantizeOutput {
  readonly result: QuantizedCandidate;
  /** The INT8 trunk, where one was made now or before. */
  readonly frozenTrunk?: Part;
}

export interface EvaluateInput {
  readonly fp32: Pipeline;
  readonly int8?: Pipeline;
  /** Blob of the hold-out examples. */
  readonly holdOut: string;
}

export interface ModelWork {
  /** Throws INVALID_REQUEST or a model's own error where the task cannot run. */
  prepare(input: PrepareInput): Promise<Prepared>;
  quantize(input: QuantizeInput): Promise<QuantizeOutput>;
  evaluate(input: EvaluateInput): Promise<CentralEvaluation>;
  close(): Promise<void>;
}
