/** The table of losses: which targets each takes, of which type, and its nodes. */
import { GraftError } from '@graft/core/error';

import type { GraphBuilder } from '../../operators/graph-builder.js';
import type { ValueType } from '../../graph/graph.js';
import type { TargetRole } from '../training-step.js';
import { distillation } from './distillation.js';
import { focal } from './focal.js';
import type { Loss, LossSite } from './loss.js';
import type { LossSpec } from './loss-spec.js';
import { huber, squaredError } from './regression.js';
import { sigmoidCrossEntropy } from './sigmoid-cross-entropy.js';
import { softmaxCrossEntropy } from './softmax-cross-entropy.js';

/** Types of the targets of a loss by role, given the type of the output. */
export function targetTypes(spec: LossSpec, output: ValueType): ReadonlyMap<TargetRole, ValueType> {
  const shape = output.shape ?? [];
  const integers: ValueType = { dtype: 'int32', shape: shape.slice(0, -1) };
  const like: ValueType = { dtype: 'float32', shape };
  const weights: [TargetRole, ValueType][] =
    'weighted' in spec && spec.weighted ? [['class-weights', { dtype: 'float32', shape: shape.slice(-1) }]] : [];
  switch (spec.kind) {
    case 'softmax-cross-entropy':
      return new Map([['labels', spec.labels === 'soft' ? like : integers], ...weights]);
    case 'sigmoid-cross-entropy':
      return new Map([['labels', like], ...weights]);
    case 'focal':
      return new Map([['labels', integers], ...weights]);
    case 'mse':
    case 'huber':
      return new Map([['values', like]]);
    default:
      return new Map<TargetRole, ValueType>([
        ['teacher', like],
        ...(spec.hard === 0 ? [] : [['labels', integers] as const]),
      ]);
  }
}

/** Adds a loss and its gradient. Throws MODEL_UNSUPPORTED for constants out of range. */
export function addLoss(spec: LossSpec, site: LossSite, build: GraphBuilder): Loss {
  checkSpec(spec);
  switch (spec.kind) {
    case 'softmax-cross-entropy':
      return softmaxCrossEntropy(spec, site, build);
    case 'sigmoid-cross-entropy':
      return sigmoidCrossEntropy(site, build);
    case 'focal':
      return focal(spec, site, build);
    case 'mse':
      return squaredError(site, build);
    case 'huber':
      return huber(spec, site, build);
    default:
      return distillation(spec, site, build);
  }
}

function checkSpec(spec: LossSpec): void {
  const check = (name: string, value: number | undefined, [low, high]: readonly [number, number]): void => {
    if (value === undefined || (value >= low && value <= high)) return;
    throw new GraftError(
      'MODEL_UNSUPPORTED',
      `the loss ${spec.kind} has ${name} ${value}, which is not in [${low}, ${high}]`,
    );
  };
  if (spec.kind === 'softmax-cross-entropy') check('smoothing', spec.smoothing, [0, 1]);
  if (spec.kind === 'focal') check('gamma', spec.gamma, [0, 100]);
  if (spec.kind === 'huber') check('delta', spec.delta, [1e-6, 1e6]);
  if (spec.kind === 'distillation') {
    check('temperature', spec.temperature, [0.01, 1000]);
    check('hard', spec.hard, [0, 1]);
  }
}
