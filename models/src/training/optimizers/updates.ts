/** The end of a training step: from gradients to new weights and new optimizer state. */
import { GraftError } from '@graft/core/error';

import type { GraphBuilder } from '../../operators/graph-builder.js';
import { accumulated, type Accumulation } from './accumulate.js';
import { clipped } from './clip.js';
import { groupsOf, joined, parted, type Group } from './groups.js';
import { addUpdate, stateNamesOf } from './optimizer.js';
import type { OptimizerSpec } from './optimizer-spec.js';
import { allFinite, unscaled } from './loss-scale.js';
import { addWeightTerms, type WeightTerms } from '../regularizers/weight-terms.js';
import type { ScalarRole, Slot } from '../training-step.js';

export interface UpdatesOptions {
  /** Of the trainable weights, by name. */
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  /** By name of the weight. */
  readonly gradients: ReadonlyMap<string, string>;
  readonly optimizer: OptimizerSpec;
  /** Declared inputs. With 'lossScale' the gradients are divided by it, and nothing changes where one is not finite. */
  readonly scalars: Readonly<Partial<Record<ScalarRole, string>>>;
  readonly terms?: WeightTerms;
  readonly clipNorm?: number;
  /** Reads 'share' and 'apply'. */
  readonly accumulate?: boolean;
}

export interface Updates {
  readonly weightSlots: ReadonlyMap<string, Slot>;
  readonly stateSlots: readonly Slot[];
  /** Scalar 1 or 0, only with a loss scale. */
  readonly finite?: string;
}

/**
 * Adds the updates of all weights. The order is: loss scale, accumulation, regularizers, clipping, optimizer.
 * Throws NOT_DIFFERENTIABLE where a weight has no gradient.
 */
export function addUpdates(options: UpdatesOptions, build: GraphBuilder): Updates {
  const { shapes, gradients, optimizer, scalars, terms, clipNorm } = options;
  const groups = groupsOf(shapes, optimizer);
  const weights = groups.map((group) => joined(group, (name) => name, build));
  let vectors = groups.map((group) => joined(group, (name) => gradientOf(name, gradients), build));
  if (scalars.lossScale !== undefined) vectors = unscaled(vectors, scalars.lossScale, build);
  const finite = scalars.lossScale === undefined ? undefined : allFinite(vectors, build);
  let accumulation: Accumulation = { vectors, slots: [], gate: finite };
  if (options.accumulate === true) accumulation = accumulated({ vectors, finite, scalars }, build);
  vectors = groups.map((group, i) => {
    const site = { group, weight: weights[i] ?? '', vector: accumulation.vectors[i] ?? '' };
    return terms === undefined ? site.vector : addWeightTerms(terms, site, build);
  });
  if (clipNorm !== undefined) vectors = clipped(vectors, clipNorm, build);
  const updated = groups.map((group, i) => {
    const site = { group, weight: weights[i] ?? '', gradient: vectors[i] ?? '', prefix: `train/state.${i}` };
    return updateGroup(site, { options, gate: accumulation.gate }, build);
  });
  const outputs = new Map(updated.flatMap((each) => each.weights));
  return {
    weightSlots: new Map(
      [...shapes].map(([name, shape]) => [name, { input: name, output: outputs.get(name) ?? name, shape }]),
    ),
    stateSlots: [...updated.flatMap(({ state }) => state), ...accumulation.slots],
    ...(finite !== undefined && { finite }),
  };
}

interface GroupSite {
  readonly group: Group;
  readonly weight: string;
  readonly gradient: string;
  readonly prefix: string;
}

function updateGroup(
  { group, weight, gradient, prefix }: GroupSite,
  { options, gate }: { options: UpdatesOptions; gate: string | undefined },
  build: GraphBuilder,
): { weights: [string, string][]; state: Slot[] } {
  const { optimizer, scalars } = options;
  const state = stateNamesOf(optimizer).map((kind) => `${prefix}/${kind}`);
  const shape = [group.length];
  for (const name of state) build.declare(name, { dtype: 'float32', shape });
  const updated = addUpdate(optimizer, { weight, gradient, state, scalars, decayed: group.decayed }, build);
  const kept = (next: string, last: string): string =>
    gate === undefined ? next : build.add('Where', [gate, next, last]);
  return {
    weights: parted(group, kept(updated.weight, weight), build),
    state: state.map((input, i) => ({ input, output: kept(updated.state[i] ?? '', input), shape })),
  };
}

function gradientOf(name: string, gradients: ReadonlyMap<string, string>): string {
  const gradient = gradients.get(name);
  if (gradient !== undefined) return gradient;
  throw new GraftError(
    'NOT_DIFFERENTIABLE',
    `weight '${name}' has no influence on the logits, so it cannot be trained`,
    { details: { weight: name } },
  );
}
