/** Optimizers as graph: weights and state in, weights and state out. What changes from step to step is an input. */
import type { GraphBuilder } from '../operators/graph-builder.js';

export type OptimizerSpec =
  | { readonly kind: 'sgd'; readonly momentum?: number; readonly weightDecay?: number }
  | {
      readonly kind: 'adam';
      readonly beta1?: number;
      readonly beta2?: number;
      readonly epsilon?: number;
      readonly weightDecay?: number;
    };

/** Scalars of one step, fed by the host. */
export interface StepScalars {
  readonly rate: number;
  readonly epsilon: number;
}

/** Names of one tensor's values in the graph. */
interface Update {
  readonly weight: string;
  readonly gradient: string;
  readonly state: readonly string[];
  readonly rate: string;
  readonly epsilon: string;
}

interface Updated {
  readonly weight: string;
  readonly state: readonly string[];
}

/** State tensors of each weight, zero at the start. */
export function stateNamesOf(spec: OptimizerSpec): readonly string[] {
  if (spec.kind === 'adam') return ['moment1', 'moment2'];
  return (spec.momentum ?? 0) === 0 ? [] : ['momentum'];
}

/**
 * SGD (torch.optim.SGD): v <- m v + g; w <- w - rate v.
 * Adam (Kingma and Ba, 2015, torch.optim.Adam) with moments scaled by 1/(1-beta), which saves two passes:
 * M <- b1 M + g; V <- b2 V + g^2; w <- w - rate' M / (sqrt V + epsilon'), see stepScalars.
 * Weight decay adds decay w to g in both, as PyTorch's weight_decay does.
 */
export function addUpdate(spec: OptimizerSpec, update: Update, build: GraphBuilder): Updated {
  const { weight, state, rate, epsilon } = update;
  const scaled = (value: string, factor: number): string => build.add('Mul', [value, build.scalar(factor, value)]);
  const decay = spec.weightDecay ?? 0;
  const gradient = decay === 0 ? update.gradient : build.add('Add', [update.gradient, scaled(weight, decay)]);
  const moved = (direction: string): string => build.add('Sub', [weight, build.add('Mul', [direction, rate])]);
  if (spec.kind === 'sgd') {
    const [velocity] = state;
    if (velocity === undefined) return { weight: moved(gradient), state: [] };
    const next = build.add('Add', [scaled(velocity, spec.momentum ?? 0), gradient]);
    return { weight: moved(next), state: [next] };
  }
  const [first = '', second = ''] = state;
  const moment1 = build.add('Add', [scaled(first, spec.beta1 ?? adamDefaults.beta1), gradient]);
  const square = build.add('Mul', [gradient, gradient]);
  const moment2 = build.add('Add', [scaled(second, spec.beta2 ?? adamDefaults.beta2), square]);
  const root = build.add('Add', [build.add('Sqrt', [moment2]), epsilon]);
  return { weight: moved(build.add('Div', [moment1, root])), state: [moment1, moment2] };
}

const adamDefaults = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const;

/**
 * The scalars of step 1, 2, ... For Adam with s = (1-b2)/(1-b2^t):
 * rate' = rate (1-b1)/(1-b1^t)/sqrt(s), epsilon' = epsilon/sqrt(s), which undoes the bias and the scale of the moments.
 */
export function stepScalars(spec: OptimizerSpec, learningRate: number, step: number): StepScalars {
  if (spec.kind === 'sgd') return { rate: learningRate, epsilon: 0 };
  const { beta1 = adamDefaults.beta1, beta2 = adamDefaults.beta2, epsilon = adamDefaults.epsilon } = spec;
  const root = Math.sqrt((1 - beta2) / (1 - beta2 ** step));
  return { rate: (learningRate * (1 - beta1)) / (1 - beta1 ** step) / root, epsilon: epsilon / root };
}
