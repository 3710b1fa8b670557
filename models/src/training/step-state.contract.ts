/** For specs: the state of a step as plain values, what goes round between runs that keep nothing. */
import { GraftError } from '@graft/core/error';
import { zeros, type Tensor, type Weights } from '@graft/core/tensor';

import type { Fetches } from '../runtime/runtime.js';
import { slotsOf, type TrainingStep } from './training-step.js';

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
