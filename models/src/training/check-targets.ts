/** What is fed as the truth, checked before it comes to the runtime, whose own words would name no role. */
import { GraftError } from '@graft/core/error';
import type { Tensor } from '@graft/core/tensor';

import type { Dimension } from '../graph/graph.js';
import type { Feeds } from '../runtime/runtime.js';
import type { TargetInput, TrainingStep } from './training-step.js';

/**
 * Throws DATA_UNSUITABLE where a target is missing, of another type or shape than the step's, or not finite; for weights of classes also where one
 * is below zero or none is above. Whole-number labels are checked against the classes by checkLabels.
 */
export function checkTargets({ targets }: Pick<TrainingStep, 'targets'>, feeds: Feeds): void {
  for (const target of targets) {
    const value = feeds[target.name];
    if (value === undefined) throw unsuitable(target, 'is missing');
    checkType(target, value);
    if (value.dtype !== 'float32') continue;
    const bad = value.data.findIndex((each) => !Number.isFinite(each));
    if (bad >= 0) throw unsuitable(target, `has the value ${value.data[bad] ?? NaN} at place ${bad}`);
    if (target.role === 'class-weights') checkWeights(target, value.data);
  }
}

/** Throws DATA_UNSUITABLE where an input of the model is missing, or of another type or shape than the step's. */
export function checkInputs({ inputs }: Pick<TrainingStep, 'inputs'>, feeds: Feeds): void {
  for (const { name, dtype, shape: wanted } of inputs) {
    const value = feeds[name];
    if (value === undefined) throw new GraftError('DATA_UNSUITABLE', `the input '${name}' of the model is missing`);
    const fits = wanted === undefined || fitsBatch(value.shape, wanted);
    if (value.dtype === dtype && fits) continue;
    throw new GraftError(
      'DATA_UNSUITABLE',
      `the input '${name}' is ${value.dtype} [${value.shape.join(', ')}], the model takes ${dtype} [${wanted?.join(', ') ?? '...'}]`,
    );
  }
}

/** The rest of an epoch has fewer rows than the step was built for; a form of it for that size runs it. */
const fitsBatch = (shape: readonly number[], wanted: readonly Dimension[]): boolean =>
  shape.length === wanted.length &&
  wanted.every((size, axis) => axis === 0 || typeof size === 'string' || size === shape[axis]);

function checkType(target: TargetInput, { dtype, shape }: Tensor): void {
  const wanted = target.shape ?? [];
  // The rest of an epoch has fewer rows than the step was built for; a form of it for that size runs it.
  const isFree = (size: Dimension, axis: number): boolean =>
    typeof size === 'string' || (axis === 0 && target.role !== 'class-weights');
  const fits =
    shape.length === wanted.length && wanted.every((size, axis) => isFree(size, axis) || size === shape[axis]);
  if (dtype === target.dtype && fits) return;
  throw unsuitable(target, `is ${dtype} [${shape.join(', ')}], the step takes ${target.dtype} [${wanted.join(', ')}]`);
}

function checkWeights(target: TargetInput, weights: Float32Array): void {
  const below = weights.findIndex((weight) => weight < 0);
  if (below >= 0)
    throw unsuitable(target, `has the weight ${weights[below] ?? NaN} for class ${below}; none may be below 0`);
  if (!weights.some((weight) => weight > 0)) throw unsuitable(target, 'has no weight above 0');
}

function unsuitable({ role, of }: TargetInput, what: string): GraftError {
  return new GraftError('DATA_UNSUITABLE', `the target '${role}' of '${of}' ${what}`, {
    details: { role, output: of },
  });
}
