/** Losses of numbers: torch.nn.MSELoss, torch.nn.HuberLoss. */
import type { GraphBuilder } from '../../operators/graph-builder.js';
import { countOf, total, type Loss, type LossSite } from './loss.js';
import type { HuberSpec } from './loss-spec.js';

/** Mean of d^2 with d = y - target; gradient 2 d / M. */
export function squaredError({ output, targets }: LossSite, build: GraphBuilder): Loss {
  const difference = build.add('Sub', [output, targets.values ?? '']);
  const count = countOf(output, output, build);
  const share = build.add('Div', [build.scalar(2, output), count]);
  return {
    loss: build.add('Div', [total(build.add('Mul', [difference, difference]), build), count]),
    gradient: build.add('Mul', [difference, share]),
    count,
  };
}

/** With c = d clipped to +-delta: mean of c (d - c/2), which is d^2/2 inside and delta (|d| - delta/2) outside; gradient c / M. */
export function huber({ delta = 1 }: HuberSpec, { output, targets }: LossSite, build: GraphBuilder): Loss {
  const difference = build.add('Sub', [output, targets.values ?? '']);
  const clipped = build.add('Clip', [difference, build.scalar(-delta, output), build.scalar(delta, output)]);
  const half = build.add('Mul', [clipped, build.scalar(0.5, output)]);
  const count = countOf(output, output, build);
  return {
    loss: build.add('Div', [total(build.add('Mul', [clipped, build.add('Sub', [difference, half])]), build), count]),
    gradient: build.add('Div', [clipped, count]),
    count,
  };
}
