/** A training step as data: what it is built from, what the host feeds, and what comes out. */
import type { Weights } from '@graft/core/tensor';

import type { Model, Value } from '../graph/graph.js';
import type { InputShapes } from '../operators/infer-shapes.js';
import type { Lowering } from '../operators/lowering.js';
import type { LossName, LossSpec } from './losses/loss-spec.js';
import type { OptimizerSpec } from './optimizers/optimizer-spec.js';
import type { RegularizerSpec } from './regularizers/regularizer-spec.js';

/**
 * Which float32 weights are trained: names, or a rule: 'all' (without running statistics), 'head' (what the last node with weights reads),
 * everything from a node on (by the name of the node or of a value that it makes), or name patterns with `*` and `?`.
 */
export type TrainableScope =
  readonly string[] | 'all' | 'head' | { readonly from: string } | { readonly matching: readonly string[] };

/**
 * 'frozen': running statistics of the model, as in inference. 'local': statistics of each batch, kept nowhere.
 * With momentum m (PyTorch: 0.1) statistics of the batch normalise, and running <- (1 - m) running + m batch comes out as state.
 */
export type BatchNormMode = 'frozen' | 'local' | { readonly momentum: number };

/** Hu et al. 2021, https://arxiv.org/abs/2106.09685: W + (alpha / rank) B A on MatMul, Gemm and Conv; A is random, B zero. */
export interface LoraSpec {
  readonly rank: number;
  /** Default: the rank, a factor of 1. */
  readonly alpha?: number;
  /** Patterns of weight names; default all weights of MatMul, Gemm and Conv (group 1). */
  readonly matching?: readonly string[];
  /** Of A. */
  readonly seed: number;
}

/** The Dropout nodes of the model drop at training. Masks depend on the scalar 'seed' alone, the same bits on every runtime. */
export interface DropoutSpec {
  /** In [0, 1); default: each node's own. */
  readonly rate?: number;
  /** Values to drop from where the model has no Dropout node: names. */
  readonly after?: readonly string[];
}

/**
 * 'accuracy': examples whose label has the largest logit. 'top-k': among the k largest. 'confusion': counts [label, predicted].
 * 'scores': the logits as they are, for AUC. 'loss-sum': the loss times its count, and the count.
 */
export type MetricSpec =
  | { readonly kind: 'accuracy' }
  | { readonly kind: 'top-k'; readonly k: number }
  | { readonly kind: 'confusion' }
  | { readonly kind: 'scores' }
  | { readonly kind: 'loss-sum' };

/** float16 forward and backward over float32 master weights, https://arxiv.org/abs/1710.03740; adds the scalar 'lossScale'. */
export type Precision = 'float32' | 'float16';

export interface TrainingStepOptions {
  readonly trainable: TrainableScope;
  readonly loss: LossSpec | LossName;
  readonly optimizer: OptimizerSpec;
  /** The output that the loss is of; default 'logits', or the only one. */
  readonly output?: string;
  /** Shapes of the model's inputs with their batch, where the graph does not declare them; the batch may be a symbol. */
  readonly inputShapes?: InputShapes;
  /** Default 'frozen'. */
  readonly batchNorm?: BatchNormMode;
  /** Then `trainable` says what is trained beside the added factors. */
  readonly lora?: LoraSpec;
  readonly regularizers?: readonly RegularizerSpec[];
  readonly dropout?: DropoutSpec;
  readonly metrics?: readonly MetricSpec[];
  /** Gradients longer than this, all together, are scaled to this length. */
  readonly clipNorm?: number;
  /** Sums gradients over runs: adds the scalars 'share' (this micro-batch's part of the batch) and 'apply' (1 at its last run, else 0). */
  readonly accumulate?: boolean;
  /** Default 'float32'. */
  readonly precision?: Precision;
  /** Default: standard operators only. */
  readonly lowering?: Lowering;
}

/** Where one tensor goes in and where its successor comes out. */
export interface Slot {
  readonly input: string;
  readonly output: string;
  readonly shape: readonly number[];
}

/**
 * What the host feeds as the truth of a batch. 'labels': int32 [N] or [N, S], or float32 of the logits' shape (soft, multi-label);
 * 'values': float32 targets of a regression; 'teacher': float32 logits of another model; 'class-weights': float32 [C].
 */
export type TargetRole = 'labels' | 'values' | 'teacher' | 'class-weights';

export interface TargetInput extends Value {
  readonly role: TargetRole;
  /** The output of the model that it is compared with. */
  readonly of: string;
}

/**
 * float32 scalars that the host feeds. 'rate', 'learningRate' and 'epsilon': see stepScalars. 'seed': an integer of [0, 2^24), another for each step.
 * 'lossScale': see loss-scale.ts. 'share', 'apply': see accumulate. The others are coefficients of regularizers.
 */
export type ScalarRole =
  | 'rate'
  | 'learningRate'
  | 'epsilon'
  | 'seed'
  | 'lossScale'
  | 'share'
  | 'apply'
  | 'proximal'
  | 'importance'
  | 'distillation';

/** A tensor of a trainable weight's shape that a regularizer reads; the same for all steps of a round. */
export interface Reference {
  readonly role: 'anchor' | 'control' | 'importance' | 'importance-anchor';
  readonly weight: string;
  readonly input: string;
  readonly shape: readonly number[];
}

export interface MetricOutput {
  readonly kind: MetricSpec['kind'] | 'count';
  /** The output: float32 scalars, except 'confusion' [C, C] and 'scores' of the logits' shape. */
  readonly output: string;
}

/** A model (graph and frozen weights, to be loaded for 'training') and how to feed it. */
export interface TrainingStep extends Model {
  /** The model's own inputs, each a batch [N, ...]. */
  readonly inputs: readonly Value[];
  readonly targets: readonly TargetInput[];
  /** Names of the scalar inputs that this step has. */
  readonly scalars: Readonly<Partial<Record<ScalarRole, string>>>;
  readonly references: readonly Reference[];
  /** Size of the last axis of the output that the loss is of: classes, or values of a regression. */
  readonly classes: number;
  /** Rows that a run needs at least: 2 where statistics of a batch are taken over a single place of each example. */
  readonly leastRows: number;
  /** Integer label that counts for nothing. */
  readonly ignoredLabel?: number;
  /** Output, float32 scalar: the mean loss of the batch before the update, without regularizers. */
  readonly loss: string;
  readonly metrics: readonly MetricOutput[];
  /** Output, float32 scalar: 1 where all gradients are finite, else 0 and weights and state come out as they went in. Only of float16. */
  readonly finite?: string;
  /** By trainable name. */
  readonly weightSlots: ReadonlyMap<string, Slot>;
  /** Optimizer state, zeros before the first step. */
  readonly stateSlots: readonly Slot[];
  /** Running statistics by the name of the weight that they are in the model; only with a momentum of batch normalization. */
  readonly statisticSlots: ReadonlyMap<string, Slot>;
  /** First values of trainable weights that the model does not have: factors of LoRA. */
  readonly added: Weights;
  readonly optimizer: OptimizerSpec;
}

/** Everything that goes round: outputs of a step that are inputs of the next. */
export function slotsOf(step: TrainingStep): Slot[] {
  return [...step.weightSlots.values(), ...step.stateSlots, ...step.statisticSlots.values()];
}
