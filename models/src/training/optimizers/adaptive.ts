/** Optimizers for large batches, whose rate is adapted to the length of each tensor: LARS and LAMB. */
import type { GraphBuilder } from '../../operators/graph-builder.js';
import type { LambSpec, LarsSpec } from './optimizer-spec.js';
import { decayOf } from './step-scalars.js';
import { moments, scaled, type Update, type Updated } from './update.js';

/** Tensors that are not decayed take the plain step, as the papers' own code does for biases and norms. */
export function adaptive(spec: LarsSpec | LambSpec, update: Update, build: GraphBuilder): Updated {
  return spec.kind === 'lars' ? lars(spec, update, build) : lamb(spec, update, build);
}

/** Euclidean length, a scalar. */
export function lengthOf(value: string, build: GraphBuilder): string {
  return build.add('Sqrt', [build.add('ReduceSum', [build.add('Mul', [value, value])], { keepdims: 0 })]);
}

/** `ratio` where both lengths are above zero, else 1. */
function trusted(ratio: string, [a, b]: readonly [string, string], build: GraphBuilder): string {
  const zero = build.scalar(0, a);
  const both = build.add('And', [build.add('Greater', [a, zero]), build.add('Greater', [b, zero])]);
  return build.add('Where', [both, ratio, build.scalar(1, ratio)]);
}

/** v <- m v + rate trust |w| / (|g| + decay |w|) (g + decay w); w <- w - v. */
function lars(spec: LarsSpec, update: Update, build: GraphBuilder): Updated {
  const { weight, gradient, scalars, decayed } = update;
  const [momentum = ''] = update.state;
  const decay = decayOf(spec);
  let step = build.add('Mul', [gradient, scalars.rate ?? '']);
  if (decayed) {
    const full = decay === 0 ? gradient : build.add('Add', [gradient, scaled(weight, decay, build)]);
    const [ofWeight, ofGradient] = [lengthOf(weight, build), lengthOf(gradient, build)];
    const under = decay === 0 ? ofGradient : build.add('Add', [ofGradient, scaled(ofWeight, decay, build)]);
    const ratio = build.add('Div', [scaled(ofWeight, spec.trust ?? 0.001, build), under]);
    const local = trusted(ratio, [ofWeight, ofGradient], build);
    step = build.add('Mul', [full, build.add('Mul', [local, scalars.rate ?? ''])]);
  }
  const next = build.add('Add', [scaled(momentum, spec.momentum ?? 0.9, build), step]);
  return { weight: build.add('Sub', [weight, next]), state: [next] };
}

/** r = Adam's direction + decay w; w <- w - rate |w| / |r| r. */
function lamb(spec: LambSpec, update: Update, build: GraphBuilder): Updated {
  const { weight, scalars, decayed } = update;
  const { direction, state } = moments(spec, update, build);
  const corrected = build.add('Mul', [direction, scalars.rate ?? '']);
  const rate = scalars.learningRate ?? '';
  if (!decayed) return { weight: build.add('Sub', [weight, build.add('Mul', [corrected, rate])]), state };
  const decay = decayOf(spec);
  const full = decay === 0 ? corrected : build.add('Add', [corrected, scaled(weight, decay, build)]);
  const lengths = [lengthOf(weight, build), lengthOf(full, build)] as const;
  const local = trusted(build.add('Div', lengths), lengths, build);
  return { weight: build.add('Sub', [weight, build.add('Mul', [full, build.add('Mul', [local, rate])])]), state };
}
