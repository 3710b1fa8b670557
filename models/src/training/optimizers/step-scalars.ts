/** What an optimizer needs of the host at each step: the bias corrections of moments depend on the number of the step. */
import type { OptimizerSpec } from './optimizer-spec.js';

/** Scalars of one step, fed by the host; a step declares those that it reads. */
export interface StepScalars {
  readonly rate: number;
  readonly learningRate: number;
  readonly epsilon: number;
}

export type OptimizerScalar = keyof StepScalars;

/** Which scalars an optimizer reads. */
export function scalarsOf(spec: OptimizerSpec): readonly OptimizerScalar[] {
  if (spec.kind === 'adam' || spec.kind === 'rmsprop') return ['rate', 'epsilon'];
  if (spec.kind === 'lamb') return ['rate', 'learningRate', 'epsilon'];
  if (spec.kind === 'adamw') return decayOf(spec) === 0 ? ['rate', 'epsilon'] : ['rate', 'learningRate', 'epsilon'];
  return ['rate'];
}

export function decayOf(spec: OptimizerSpec): number {
  return spec.weightDecay ?? (spec.kind === 'adamw' ? 0.01 : 0);
}

/** Decays of the moments of Adam, AdamW and LAMB. */
export function momentsOf(spec: { readonly beta1?: number; readonly beta2?: number }): {
  beta1: number;
  beta2: number;
} {
  return { beta1: spec.beta1 ?? 0.9, beta2: spec.beta2 ?? 0.999 };
}

/**
 * The scalars of step 1, 2, ... Moments in the graph are scaled by 1/(1 - beta), which saves two passes; these undo it.
 * Adam and AdamW with s = (1-b2)/(1-b2^t): rate' = rate (1-b1)/(1-b1^t)/sqrt(s), epsilon' = epsilon/sqrt(s).
 * LAMB: the same with rate 1, since the learning rate comes after the trust ratio.
 * RMSprop: rate' = rate/sqrt(1-alpha), epsilon' = epsilon/sqrt(1-alpha).
 */
export function stepScalars(spec: OptimizerSpec, learningRate: number, step: number): StepScalars {
  if (spec.kind === 'rmsprop') {
    const root = Math.sqrt(1 - (spec.alpha ?? 0.99));
    return { rate: learningRate / root, learningRate, epsilon: (spec.epsilon ?? 1e-8) / root };
  }
  if (spec.kind !== 'adam' && spec.kind !== 'adamw' && spec.kind !== 'lamb') {
    return { rate: learningRate, learningRate, epsilon: 0 };
  }
  const { beta1, beta2 } = momentsOf(spec);
  const root = Math.sqrt((1 - beta2) / (1 - beta2 ** step));
  const rate = spec.kind === 'lamb' ? 1 : learningRate;
  const epsilon = spec.epsilon ?? (spec.kind === 'lamb' ? 1e-6 : 1e-8);
  return { rate: (rate * (1 - beta1)) / (1 - beta1 ** step) / root, learningRate, epsilon: epsilon / root };
}
