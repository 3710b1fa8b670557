/** Optimizers as graph: weights and state in, weights and state out. What changes from step to step is an input. */
import type { GraphBuilder } from '../../operators/graph-builder.js';
import { adaptive } from './adaptive.js';
import type { OptimizerSpec } from './optimizer-spec.js';
import { decayOf } from './step-scalars.js';
import { moments, scaled, type Update, type Updated } from './update.js';

/** State tensors of each weight, zero at the start. */
export function stateNamesOf(spec: OptimizerSpec): readonly string[] {
  if (spec.kind === 'adam' || spec.kind === 'adamw' || spec.kind === 'lamb') return ['moment1', 'moment2'];
  if (spec.kind === 'adagrad') return ['squares'];
  if (spec.kind === 'lars') return ['momentum'];
  const momentum = (spec.momentum ?? 0) === 0 ? [] : ['momentum'];
  return spec.kind === 'rmsprop' ? ['squares', ...momentum] : momentum;
}

/** Adds the update of one tensor; weight decay is added to the gradient except in AdamW, LARS and LAMB, as in PyTorch. */
export function addUpdate(spec: OptimizerSpec, update: Update, build: GraphBuilder): Updated {
  switch (spec.kind) {
    case 'sgd':
      return sgd(spec, update, build);
    case 'adam':
    case 'adamw':
      return adam(spec, update, build);
    case 'adagrad':
      return adagrad(spec, update, build);
    case 'rmsprop':
      return rmsprop(spec, update, build);
    default:
      return adaptive(spec, update, build);
  }
}

/** w - rate times direction. */
const moved = ({ weight, scalars }: Update, direction: string, build: GraphBuilder): string =>
  build.add('Sub', [weight, build.add('Mul', [direction, scalars.rate ?? ''])]);

/** g + decay w. */
function decayedGradient(spec: OptimizerSpec, { weight, gradient, decayed }: Update, build: GraphBuilder): string {
  const decay = decayOf(spec);
  return decay === 0 || !decayed ? gradient : build.add('Add', [gradient, scaled(weight, decay, build)]);
}

/** v <- m v + g; w <- w - rate v, with Nesterov w - rate (g + m v). */
function sgd(spec: OptimizerSpec & { kind: 'sgd' }, update: Update, build: GraphBuilder): Updated {
  const gradient = decayedGradient(spec, update, build);
  const [velocity] = update.state;
  if (velocity === undefined) return { weight: moved(update, gradient, build), state: [] };
  const momentum = spec.momentum ?? 0;
  const next = build.add('Add', [scaled(velocity, momentum, build), gradient]);
  const direction = spec.nesterov === true ? build.add('Add', [gradient, scaled(next, momentum, build)]) : next;
  return { weight: moved(update, direction, build), state: [next] };
}

/** Kingma and Ba 2015, https://arxiv.org/abs/1412.6980; AdamW takes rate times decay of the weight beside the step. */
function adam(spec: OptimizerSpec & { kind: 'adam' | 'adamw' }, update: Update, build: GraphBuilder): Updated {
  const gradient = spec.kind === 'adam' ? decayedGradient(spec, update, build) : update.gradient;
  const { direction, state } = moments(spec, { ...update, gradient }, build);
  const decay = spec.kind === 'adamw' && update.decayed ? decayOf(spec) : 0;
  if (decay === 0) return { weight: moved(update, direction, build), state };
  const share = scaled(update.scalars.learningRate ?? '', decay, build);
  const weight = build.add('Sub', [update.weight, build.add('Mul', [update.weight, share])]);
  return { weight: moved({ ...update, weight }, direction, build), state };
}

/** S <- S + g^2; w <- w - rate g / (sqrt S + epsilon). */
function adagrad(spec: OptimizerSpec & { kind: 'adagrad' }, update: Update, build: GraphBuilder): Updated {
  const gradient = decayedGradient(spec, update, build);
  const [squares = ''] = update.state;
  const next = build.add('Add', [squares, build.add('Mul', [gradient, gradient])]);
  const epsilon = build.scalar(spec.epsilon ?? 1e-10, next);
  const direction = build.add('Div', [gradient, build.add('Add', [build.add('Sqrt', [next]), epsilon])]);
  return { weight: moved(update, direction, build), state: [next] };
}

/** V <- alpha V + g^2, the mean square times 1/(1 - alpha); b <- m b + g / (sqrt V + epsilon'); w <- w - rate' b. */
function rmsprop(spec: OptimizerSpec & { kind: 'rmsprop' }, update: Update, build: GraphBuilder): Updated {
  const gradient = decayedGradient(spec, update, build);
  const [squares = '', momentum] = update.state;
  const next = build.add('Add', [scaled(squares, spec.alpha ?? 0.99, build), build.add('Mul', [gradient, gradient])]);
  const root = build.add('Add', [build.add('Sqrt', [next]), update.scalars.epsilon ?? '']);
  const direction = build.add('Div', [gradient, root]);
  if (momentum === undefined) return { weight: moved(update, direction, build), state: [next] };
  const velocity = build.add('Add', [scaled(momentum, spec.momentum ?? 0, build), direction]);
  return { weight: moved(update, velocity, build), state: [next, velocity] };
}
