/** Terms that hold training back, each with inputs that the host feeds. */

/** FedProx, Li et al. 2020, https://arxiv.org/abs/1812.06127: mu/2 |w - w0|^2. Reference 'anchor' w0, scalar 'proximal' mu. */
export interface ProximalSpec {
  readonly kind: 'proximal';
}

/** SCAFFOLD, Karimireddy et al. 2020, https://arxiv.org/abs/1910.06378: g - c_i + c. Reference 'control' is c - c_i. */
export interface ControlVariateSpec {
  readonly kind: 'control-variate';
}

/**
 * Elastic weight consolidation, Kirkpatrick et al. 2017, https://arxiv.org/abs/1612.00796: lambda/2 sum F (w - w*)^2.
 * References 'importance' F and 'importance-anchor' w*, scalar 'importance' lambda.
 */
export interface ImportanceSpec {
  readonly kind: 'importance';
}

/**
 * Learning without forgetting, Li and Hoiem 2016, https://arxiv.org/abs/1606.09282: the loss 'distillation' without labels on an output,
 * times the scalar 'distillation'. Target 'teacher' of that output: the logits of the model before training.
 */
export interface LearnWithoutForgettingSpec {
  readonly kind: 'learning-without-forgetting';
  /** Default: the output that the loss is of. */
  readonly output?: string;
  /** Default 2. */
  readonly temperature?: number;
}

export type RegularizerSpec = ProximalSpec | ControlVariateSpec | ImportanceSpec | LearnWithoutForgettingSpec;
