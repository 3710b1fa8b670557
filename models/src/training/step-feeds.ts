/** What a host feeds to a training step beside the examples. */
import { GraftError } from '@graft/core/error';
import { tensor } from '@graft/core/tensor';

import type { Feeds } from '../runtime/runtime.js';
import type { ScalarRole, TargetInput, TargetRole, TrainingStep } from './training-step.js';

/** Feeds of the scalars that the step has; values that it does not read are left out. Throws DATA_UNSUITABLE where one is missing. */
export function scalarFeeds(step: TrainingStep, values: Readonly<Partial<Record<ScalarRole, number>>>): Feeds {
  const known: ReadonlyMap<string, number> = new Map(Object.entries(values));
  return Object.fromEntries(
    Object.entries(step.scalars).map(([role, name]) => {
      const value = known.get(role);
      if (value === undefined)
        throw new GraftError('DATA_UNSUITABLE', `the step reads the scalar '${role}', which has no value`);
      return [name, tensor('float32', [], Float32Array.of(value))];
    }),
  );
}

/** The target of a role. Throws TENSOR_UNKNOWN where the step has none. */
export function targetOf(step: TrainingStep, role: TargetRole): TargetInput {
  const target = step.targets.find((each) => each.role === role);
  if (target !== undefined) return target;
  const roles = step.targets.map((each) => `'${each.role}'`).join(', ');
  throw new GraftError('TENSOR_UNKNOWN', `the step has no target '${role}'; it has ${roles}`);
}
