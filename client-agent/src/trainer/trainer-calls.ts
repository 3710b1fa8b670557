/**
 * What the daemon asks of the trainer process, and what it hears back: plain data over the IPC channel.
 * Private data, weights and gradients stay on the trainer's side; only sealed files and measures come back.
 */
import type { BlobRef, Pipeline } from '@graft/models/pipeline/pipeline';
import type { PrecisionMeasures, TrainingReport } from '@graft/protos/messages';
import type { SealContext } from '@graft/protos/sealed/envelope';
import type { SealedFields } from '@graft/protos/sealed/seal.adapter';

import type { DataSummary, ExampleSource } from '../data/dataset.js';
import type { TrainingEstimate } from './training/estimate.js';

/** Where the trainer finds the site's data and its own stores. */
export interface TrainerPlaces {
  readonly dataFile: string;
  readonly indexFile: string;
  readonly splitFile: string;
  /** Folder of blobs by hash. */
  readonly blobs: string;
  /** Folder of cached features. */
  readonly features: string;
  /** Folder of checkpoints of trainings. */
  readonly training: string;
  /** While this file is there, training waits. */
  readonly pauseFile: string;
}

/** To whom an update is sealed, and what it is bound to. */
export interface SealTo {
  readonly context: SealContext;
  /** The plan's round key with its signature, and the coordinator's key that must have made it. */
  readonly roundKey: Uint8Array;
  readonly roundKeySignature: Uint8Array;
  readonly identityKey: Uint8Array;
  /** The ciphertext is written here, and nothing else of the update anywhere. */
  readonly file: string;
}

export interface BaseCheckpoint {
  readonly blob: BlobRef;
  readonly encoding: 'fp16' | 'fp32';
  /** sha256 of the canonical layout, as the plan has it; the trainer computes its own and compares. */
  readonly layoutHash: string;
}

/** A sealed update: the public parts of its envelope, which the manifest names. */
export interface SealedUpdate extends SealedFields {
  readonly parameterCount: number;
}

export interface FitInput {
  readonly places: TrainerPlaces;
  readonly pipeline: Pipeline;
  /** JSON of the task's training options. */
  readonly training: string;
  readonly seed: number;
  readonly calibrateTrunk: boolean;
  readonly base: BaseCheckpoint;
  readonly seal: SealTo;
}

export interface ProbeInput {
  readonly blobs: string;
  readonly base: BaseCheckpoint;
  readonly add: number;
  readonly seal: SealTo;
}

export interface EvaluateInput {
  readonly places: TrainerPlaces;
  readonly fp32: Pipeline;
  readonly int8?: Pipeline;
}

export interface EvaluateOutput {
  readonly fp32: PrecisionMeasures;
  readonly int8?: PrecisionMeasures;
  /** Sum over examples of KL(fp32 || int8), nats. */
  readonly klSum: number;
}

export interface PredictInput {
  readonly pipeline: Pipeline;
  /** Folder of the release's blobs. */
  readonly blobs: string;
  readonly inputs: readonly PredictSource[];
}

/** An example without a label; an image has its path for a name. */
export type PredictSource =
  Extract<ExampleSource, { kind: 'image' }> | (Exclude<ExampleSource, { kind: 'image' }> & { readonly name: string });

export type Prediction =
  | {
      readonly input: string;
      readonly ok: true;
      readonly label: string;
      readonly probability: number;
      /** Every label's probability, in the order of the labels. */
      readonly probabilities: readonly number[];
    }
  | { readonly input: string; readonly ok: false; readonly code: string; readonly message: string };

export interface RuntimeReport {
  readonly name: string;
  readonly device: string;
  /** Runtime and device, and why no faster one: for people. */
  readonly about: string;
  readonly threads: number;
  readonly startMs: number;
}

/** Every call of the trainer. */
export interface TrainerCalls {
  summary: { readonly input: TrainerPlaces; readonly output: DataSummary };
  fit: {
    readonly input: FitInput;
    readonly output: { readonly update: SealedUpdate; readonly exampleCount: number; readonly report: TrainingReport };
  };
  probe: { readonly input: ProbeInput; readonly output: SealedUpdate };
  evaluate: { readonly input: EvaluateInput; readonly output: EvaluateOutput };
  predict: { readonly input: PredictInput; readonly output: readonly Prediction[] };
  /** Whether the runtime loads and computes here; for `graft-agent check`. */
  runtime: { readonly input: null; readonly output: RuntimeReport };
}

export type CallName = keyof TrainerCalls;

/** Where a job stands; the words of graft.v1.HeartbeatRequest. */
export interface Progress {
  readonly activity:
    | 'fetching'
    | 'features'
    | 'training'
    | 'paused'
    | 'calibrating'
    | 'sealing'
    | 'uploading'
    | 'evaluating'
    | 'installing';
  /** 0 to 1. */
  readonly progress: number;
  readonly loss?: number;
  /** Optimizer steps done and all of them, while training. */
  readonly step?: number;
  readonly steps?: number;
  readonly examplesPerSecond?: number;
  /** Of this activity, as far as its speed so far tells. */
  readonly remainingMs?: number;
  /** What people should know of the data: examples that were left out, classes without any. */
  readonly warnings?: readonly string[];
  /** Once, before the first step. */
  readonly estimate?: TrainingEstimate;
}

/** Daemon to trainer. */
export type TrainerRequest =
  | {
      readonly [K in CallName]: { readonly id: number; readonly call: K; readonly input: TrainerCalls[K]['input'] };
    }[CallName]
  | { readonly id: number; readonly call: 'cancel' };

/** Trainer to daemon. */
export type TrainerReply =
  | { readonly id: number; readonly kind: 'done'; readonly output: unknown }
  | { readonly id: number; readonly kind: 'progress'; readonly progress: Progress }
  | {
      readonly id: number;
      readonly kind: 'failed';
      readonly code: string;
      readonly message: string;
      readonly details: Readonly<Record<string, string | number | boolean>>;
    };
