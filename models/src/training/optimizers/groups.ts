/** Weights that are updated together: one vector for many small tensors, since ten operators for each cost more than their arithmetic. */
import { elementCount } from '@graft/core/tensor';

import type { GraphBuilder } from '../../operators/graph-builder.js';
import type { OptimizerSpec } from './optimizer-spec.js';
import { decayOf } from './step-scalars.js';

export interface Member {
  readonly name: string;
  readonly shape: readonly number[];
  readonly length: number;
}

export interface Group {
  readonly members: readonly Member[];
  readonly length: number;
  readonly decayed: boolean;
}

/** Tensors from this size on are updated alone, since joining them would copy what does not fit the cache. */
const jointElements = 65_536;

/** Groups in order of the weights; tensors with weight decay apart from those without, and alone where a trust ratio is theirs. */
export function groupsOf(shapes: ReadonlyMap<string, readonly number[]>, optimizer: OptimizerSpec): Group[] {
  const adaptive = optimizer.kind === 'lars' || optimizer.kind === 'lamb';
  const apart = optimizer.decayOn === 'matrices' && (adaptive || decayOf(optimizer) > 0);
  const members = [...shapes].map(([name, shape]): Member => ({ name, shape, length: elementCount(shape) }));
  const decayed = ({ shape }: Member): boolean => !apart || shape.length > 1;
  const isAlone = (member: Member): boolean => member.length >= jointElements || (adaptive && decayed(member));
  const joint = [true, false].map((side) => members.filter((member) => !isAlone(member) && decayed(member) === side));
  const alone = members.filter(isAlone).map((member) => [member]);
  return [...joint.filter(({ length }) => length > 0), ...alone].map((each) => ({
    members: each,
    length: each.reduce((sum, { length }) => sum + length, 0),
    decayed: each.every(decayed),
  }));
}

/**
 * One vector of the tensors that `nameOf` gives for the members of a group.
 * Flat, since the runtime's arithmetic with a scalar is ten times slower on shapes that end in 1, as those of 1x1 kernels do.
 */
export function joined({ members }: Group, nameOf: (name: string) => string, build: GraphBuilder): string {
  const vectors = members.map(({ name }) => {
    const value = nameOf(name);
    return build.shapeOf(value).length === 1 ? value : build.add('Reshape', [value, build.ints([-1])]);
  });
  return vectors.length === 1 ? (vectors[0] ?? '') : build.add('Concat', vectors, { axis: 0 });
}

/** The tensors of a group's vector, each in its own shape. */
export function parted({ members }: Group, vector: string, build: GraphBuilder): [string, string][] {
  const lengths = members.map(({ length }) => length);
  const parts =
    members.length === 1
      ? [vector]
      : build.addMany('Split', [vector, build.ints(lengths)], lengths.length, { axis: 0 });
  return members.map(({ name, shape }, i) => {
    const part = parts[i] ?? '';
    return [name, shape.length === 1 ? part : build.add('Reshape', [part, build.ints(shape)])];
  });
}
