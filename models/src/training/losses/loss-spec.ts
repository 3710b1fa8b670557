/** What a step minimises. Every loss is a mean, as PyTorch's reduction='mean'. */

/** Classes exclude each other: https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html */
export interface SoftmaxCrossEntropySpec {
  readonly kind: 'softmax-cross-entropy';
  /** 'integer' (default): int32 [N], or [N, S] for logits [N, S, C]. 'soft': float32 probabilities of the logits' shape. */
  readonly labels?: 'integer' | 'soft';
  /** Share of each label that is spread over all classes, in [0, 1). Default 0. */
  readonly smoothing?: number;
  /** Whether the host feeds a weight for each class; the mean is then over the weights of the labels. */
  readonly weighted?: boolean;
  /** Integer labels of this value count for nothing, for instance -100 at the padding of a sequence. */
  readonly ignoreIndex?: number;
}

/** Classes are independent, labels float32 [N, C] in [0, 1]: torch.nn.BCEWithLogitsLoss. */
export interface SigmoidCrossEntropySpec {
  readonly kind: 'sigmoid-cross-entropy';
  /** Whether the host feeds a weight for the positive examples of each class (PyTorch's pos_weight). */
  readonly weighted?: boolean;
}

/** Lin et al. 2017, https://arxiv.org/abs/1708.02002, over softmax: mean of -w_y (1 - p_y)^gamma log p_y. */
export interface FocalSpec {
  readonly kind: 'focal';
  /** Default 2. */
  readonly gamma?: number;
  /** Whether the host feeds a weight for each class (alpha in the paper). */
  readonly weighted?: boolean;
}

/** Mean of (y - target)^2 over all elements: torch.nn.MSELoss. */
export interface SquaredErrorSpec {
  readonly kind: 'mse';
}

/** Mean over all elements of d^2/2 where |d| <= delta, else delta (|d| - delta/2): torch.nn.HuberLoss. */
export interface HuberSpec {
  readonly kind: 'huber';
  /** Default 1. */
  readonly delta?: number;
}

/**
 * Hinton et al. 2015, https://arxiv.org/abs/1503.02531:
 * (1 - hard) T^2 KL(softmax(teacher / T) || softmax(logits / T)) + hard times the cross-entropy with integer labels.
 */
export interface DistillationSpec {
  readonly kind: 'distillation';
  /** Default 2. */
  readonly temperature?: number;
  /** Share of the hard loss in [0, 1]. Default 0.5; with 0 the step takes no labels. */
  readonly hard?: number;
}

export type LossSpec =
  SoftmaxCrossEntropySpec | SigmoidCrossEntropySpec | FocalSpec | SquaredErrorSpec | HuberSpec | DistillationSpec;

/** A loss by its name alone has the defaults. */
export type LossName = LossSpec['kind'];

export function lossSpecOf(loss: LossSpec | LossName): LossSpec {
  return typeof loss === 'string' ? { kind: loss } : loss;
}
