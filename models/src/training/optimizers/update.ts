/** What optimizers are made of: the names of one tensor's values, and the moments that several of them keep. */
import type { GraphBuilder } from '../../operators/graph-builder.js';
import { momentsOf, type OptimizerScalar } from './step-scalars.js';

/** Names of one tensor's values in the graph. */
export interface Update {
  readonly weight: string;
  readonly gradient: string;
  /** As many as stateNamesOf says. */
  readonly state: readonly string[];
  readonly scalars: Readonly<Partial<Record<OptimizerScalar, string>>>;
  /** Whether weight decay, and the trust ratio of LARS and LAMB, hold for this tensor. */
  readonly decayed: boolean;
}

export interface Updated {
  readonly weight: string;
  readonly state: readonly string[];
}

/** `factor` times a value. */
export const scaled = (value: string, factor: number, build: GraphBuilder): string =>
  build.add('Mul', [value, build.scalar(factor, value)]);

/** M <- b1 M + g; V <- b2 V + g^2: the moments times 1/(1 - beta); the direction M / (sqrt V + epsilon'), see stepScalars. */
export function moments(
  spec: { readonly beta1?: number; readonly beta2?: number },
  { gradient, state, scalars }: Pick<Update, 'gradient' | 'state' | 'scalars'>,
  build: GraphBuilder,
): { direction: string; state: readonly string[] } {
  const { beta1, beta2 } = momentsOf(spec);
  const [first = '', second = ''] = state;
  const moment1 = build.add('Add', [scaled(first, beta1, build), gradient]);
  const square = build.add('Mul', [gradient, gradient]);
  const moment2 = build.add('Add', [scaled(second, beta2, build), square]);
  const root = build.add('Add', [build.add('Sqrt', [moment2]), scalars.epsilon ?? '']);
  return { direction: build.add('Div', [moment1, root]), state: [moment1, moment2] };
}
