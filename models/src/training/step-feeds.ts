/** What a host feeds to a training step beside the examples, and how one step's results become the next one's inputs. */
import { GraftError } from '@graft/core/error';
import { tensor, zeros, type Tensor, type Weights } from '@graft/core/tensor';

import type { Feeds, Fetches } from '../runtime/runtime.js';
import { slotsOf, type ScalarRole, type TargetInput, type TargetRole, type TrainingStep } from './training-step.js';

/** Weights as given, optimizer state at zero, running statistics as given. Throws TENSOR_UNKNOWN where a first value is missing. */
export function firstState(step: TrainingStep, initial: Weights): Record<string, Tensor> {
  const named = [...step.weightSlots, ...step.statisticSlots].map(([name, { input }]): [string, Tensor] => {
    const value = initial.get(name) ?? step.added.get(name);
    if (value === undefined) throw new GraftError('TENSOR_UNKNOWN', `there is no initial value of '${name}'`);
    return [input, value];
  });
  const state = step.stateSlots.map(({ input, shape }): [string, Tensor] => [input, zeros('float32', shape)]);
  return Object.fromEntries([...named, ...state]);
}

/** The state that a run leaves. */
export function nextState(step: TrainingStep, fetches: Fetches): Record<string, Tensor> {
  return Object.fromEntries(
    slotsOf(step).flatMap(({ input, output }) => {
      const value = fetches[output];
      return value === undefined ? [] : [[input, value]];
    }),
  );
}

/** Trained weights and running statistics by their names in the model. */
export function weightsIn(step: TrainingStep, state: Readonly<Record<string, Tensor>>): Map<string, Tensor<'float32'>> {
  return new Map(
    [...step.weightSlots, ...step.statisticSlots].flatMap(([name, { input }]): [string, Tensor<'float32'>][] => {
      const value = state[input];
      return value?.dtype === 'float32' ? [[name, value]] : [];
    }),
  );
}

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
