/** Optimizers and their constants; defaults are PyTorch's. The learning rate is the host's, step by step. */

interface Decay {
  /** Default 0. */
  readonly weightDecay?: number;
  /** 'matrices' leaves out tensors of one axis, which biases and scales of norms are. Default 'all'. */
  readonly decayOn?: 'all' | 'matrices';
}

interface Moments {
  /** Default 0.9. */
  readonly beta1?: number;
  /** Default 0.999. */
  readonly beta2?: number;
  /** Default 1e-8; LAMB 1e-6. */
  readonly epsilon?: number;
}

export interface SgdSpec extends Decay {
  readonly kind: 'sgd';
  /** Default 0. */
  readonly momentum?: number;
  readonly nesterov?: boolean;
}

export interface AdamSpec extends Decay, Moments {
  readonly kind: 'adam';
}

/** Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101; weightDecay defaults to 0.01. */
export interface AdamWSpec extends Decay, Moments {
  readonly kind: 'adamw';
}

/** Duchi et al. 2011, torch.optim.Adagrad; epsilon defaults to 1e-10. */
export interface AdagradSpec extends Decay {
  readonly kind: 'adagrad';
  readonly epsilon?: number;
}

/** torch.optim.RMSprop. */
export interface RmspropSpec extends Decay {
  readonly kind: 'rmsprop';
  /** Default 0.99. */
  readonly alpha?: number;
  /** Default 1e-8. */
  readonly epsilon?: number;
  /** Default 0. */
  readonly momentum?: number;
}

/** You et al. 2017, https://arxiv.org/abs/1708.03888. */
export interface LarsSpec extends Decay {
  readonly kind: 'lars';
  /** Default 0.9. */
  readonly momentum?: number;
  /** Default 0.001. */
  readonly trust?: number;
}

/** You et al. 2020, https://arxiv.org/abs/1904.00962. */
export interface LambSpec extends Decay, Moments {
  readonly kind: 'lamb';
}

export type OptimizerSpec = SgdSpec | AdamSpec | AdamWSpec | AdagradSpec | RmspropSpec | LarsSpec | LambSpec;
