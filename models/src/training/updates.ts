/** The end of a training step: from gradients to new weights and new optimizer state. */
import { GraftError } from '@graft/core/error';
import { elementCount } from '@graft/core/tensor';

import type { GraphBuilder } from '../operators/graph-builder.js';
import { addUpdate, stateNamesOf, type OptimizerSpec } from './optimizer.js';

/** Where one tensor goes in and where its successor comes out. */
export interface Slot {
  readonly input: string;
  readonly output: string;
  readonly shape: readonly number[];
}

export interface UpdatesOptions {
  /** Of the trainable weights, by name. */
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  /** By name of the weight. */
  readonly gradients: ReadonlyMap<string, string>;
  readonly optimizer: OptimizerSpec;
  readonly scalars: { readonly rate: string; readonly epsilon: string };
}

/**
 * Tensors below this size are updated together as one vector: ten operators for each would cost more than their arithmetic.
 * Larger ones alone, since joining them would copy what does not fit the cache.
 */
const jointElements = 65_536;

/** Adds the updates of all weights. Throws NOT_DIFFERENTIABLE where a weight has no gradient. */
export function addUpdates(
  options: UpdatesOptions,
  build: GraphBuilder,
): { weightSlots: ReadonlyMap<string, Slot>; stateSlots: readonly Slot[] } {
  const sizes = [...options.shapes].map(([name, shape]) => ({ name, shape, length: elementCount(shape) }));
  const large = sizes.filter(({ length }) => length >= jointElements).map((one) => [one]);
  const small = sizes.filter(({ length }) => length < jointElements);
  const groups = small.length > 0 ? [small, ...large] : large;
  const updates = groups.map((members, i) => updateGroup(members, `train/state.${i}`, { options, build }));
  const outputs = new Map(updates.flatMap(({ weights }) => weights));
  const weightSlots = new Map(
    sizes.map(({ name, shape }) => [name, { input: name, output: outputs.get(name) ?? name, shape }]),
  );
  return { weightSlots, stateSlots: updates.flatMap(({ state }) => state) };
}

interface Member {
  readonly name: string;
  readonly shape: readonly number[];
  readonly length: number;
}

/** Flat, since the runtime's arithmetic with a scalar is ten times slower on shapes that end in 1, as those of 1x1 kernels do. */
function updateGroup(
  members: readonly Member[],
  prefix: string,
  { options, build }: { options: UpdatesOptions; build: GraphBuilder },
): { weights: [string, string][]; state: Slot[] } {
  const { gradients, optimizer, scalars } = options;
  const total = members.reduce((sum, { length }) => sum + length, 0);
  const state = stateNamesOf(optimizer).map((kind) => `${prefix}/${kind}`);
  for (const name of state) build.declare(name, { dtype: 'float32', shape: [total] });
  const updated = addUpdate(
    optimizer,
    {
      weight: joined(
        members.map(({ name }) => name),
        build,
      ),
      gradient: joined(
        members.map(({ name }) => gradientOf(name, gradients)),
        build,
      ),
      state,
      ...scalars,
    },
    build,
  );
  const parts =
    members.length === 1
      ? [updated.weight]
      : build.addMany('Split', [updated.weight, build.ints(members.map(({ length }) => length))], members.length, {
          axis: 0,
        });
  return {
    weights: members.map(({ name, shape }, i) => [name, build.add('Reshape', [parts[i] ?? '', build.ints(shape)])]),
    state: state.map((input, i) => ({ input, output: updated.state[i] ?? '', shape: [total] })),
  };
}

/** One vector of all elements. */
function joined(names: readonly string[], build: GraphBuilder): string {
  const vectors = names.map((name) =>
    build.shapeOf(name).length === 1 ? name : build.add('Reshape', [name, build.ints([-1])]),
  );
  return vectors.length === 1 ? (vectors[0] ?? '') : build.add('Concat', vectors, { axis: 0 });
}

function gradientOf(name: string, gradients: ReadonlyMap<string, string>): string {
  const gradient = gradients.get(name);
  if (gradient !== undefined) return gradient;
  throw new GraftError(
    'NOT_DIFFERENTIABLE',
    `weight '${name}' has no influence on the logits, so it cannot be trained`,
  );
}
