/** Regularizers that act on weights: what each adds to the gradient, over the vector of a group of weights. */
import type { GraphBuilder } from '../../operators/graph-builder.js';
import { joined, type Group } from '../optimizers/groups.js';
import type { Reference, ScalarRole } from '../training-step.js';
import type { RegularizerSpec } from './regularizer-spec.js';

export interface WeightTerms {
  readonly regularizers: readonly RegularizerSpec[];
  readonly references: readonly Reference[];
  readonly scalars: Readonly<Partial<Record<ScalarRole, string>>>;
}

/** References that each kind reads, for every trainable weight. */
const roles: Readonly<Record<RegularizerSpec['kind'], readonly Reference['role'][]>> = {
  proximal: ['anchor'],
  'control-variate': ['control'],
  importance: ['importance', 'importance-anchor'],
  'learning-without-forgetting': [],
};

/** Scalars that regularizers read. */
export function coefficientsOf(regularizers: readonly RegularizerSpec[]): ScalarRole[] {
  return regularizers.flatMap(({ kind }): ScalarRole[] => {
    if (kind === 'proximal') return ['proximal'];
    if (kind === 'importance') return ['importance'];
    return kind === 'learning-without-forgetting' ? ['distillation'] : [];
  });
}

export function referencesOf(
  regularizers: readonly RegularizerSpec[],
  shapes: ReadonlyMap<string, readonly number[]>,
): Reference[] {
  return regularizers
    .flatMap(({ kind }) => roles[kind])
    .flatMap((role) =>
      [...shapes].map(([weight, shape]) => ({ role, weight, shape, input: `train/${role}/${weight}` })),
    );
}

/**
 * The gradient with the terms of all regularizers: + mu (w - w0), + (c - c_i), + lambda F (w - w*).
 * @returns the name of a vector of the group's length
 */
export function addWeightTerms(
  terms: WeightTerms,
  site: { group: Group; weight: string; vector: string },
  build: GraphBuilder,
): string {
  const { group, weight, vector } = site;
  const reference = (role: Reference['role']): string => {
    const inputs = new Map(terms.references.flatMap((each) => (each.role === role ? [[each.weight, each.input]] : [])));
    return joined(group, (name) => inputs.get(name) ?? '', build);
  };
  const pull = (anchor: string, coefficient: string | undefined): string =>
    build.add('Mul', [build.add('Sub', [weight, anchor]), coefficient ?? '']);
  const parts = terms.regularizers.flatMap(({ kind }): string[] => {
    if (kind === 'proximal') return [pull(reference('anchor'), terms.scalars.proximal)];
    if (kind === 'control-variate') return [reference('control')];
    if (kind === 'learning-without-forgetting') return [];
    const importance = reference('importance');
    return [build.add('Mul', [importance, pull(reference('importance-anchor'), terms.scalars.importance)])];
  });
  return parts.length === 0 ? vector : build.add('Sum', [vector, ...parts]);
}
