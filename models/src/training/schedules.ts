/**
 * Learning rates over the steps of a training, as torch.optim.lr_scheduler has them: pure functions of the number of the step.
 * The host asks at each step; nothing of this is in the graph.
 */
import { GraftError } from '@graft/core/error';

export type Schedule = (
  | { readonly kind: 'constant' }
  /** Times `factor` after each `every` steps: StepLR. */
  | { readonly kind: 'step'; readonly every: number; readonly factor: number }
  /** To `floor` times the base by half a cosine: CosineAnnealingLR, Loshchilov and Hutter 2017. Default floor 0. */
  | { readonly kind: 'cosine'; readonly floor?: number }
  /** Up from base / 25 over the first 30 %, then down to base / 250000, by half cosines: OneCycleLR, Smith and Topin 2018. */
  | { readonly kind: 'one-cycle'; readonly rising?: number }
) & {
  /** Steps of linear warm-up before the schedule: the first has base / warmupSteps. Default 0; not for 'one-cycle', which has its own. */
  readonly warmupSteps?: number;
};

/** From `begin` to `end` as `part` goes from 0 to 1. */
const cosine = (begin: number, end: number, part: number): number =>
  end + ((begin - end) / 2) * (1 + Math.cos(Math.PI * part));

/**
 * The rate of step 1 to `steps`.
 * Throws DATA_UNSUITABLE for a step outside of them, or constants that make no schedule.
 */
export function rateAt(schedule: Schedule, base: number, step: number, steps: number): number {
  if (!Number.isInteger(step) || step < 1 || step > steps) {
    throw new GraftError('DATA_UNSUITABLE', `step ${step} is none of the ${steps} steps of the schedule`);
  }
  if (schedule.kind === 'one-cycle') return oneCycle(schedule.rising ?? 0.3, base, { done: step - 1, steps });
  const warmup = schedule.warmupSteps ?? 0;
  if (step <= warmup) return (base * step) / warmup;
  const done = step - 1 - warmup;
  switch (schedule.kind) {
    case 'constant':
      return base;
    case 'step':
      if (!(schedule.every >= 1)) {
        throw new GraftError(
          'DATA_UNSUITABLE',
          `a schedule that changes every ${schedule.every} steps; at least 1 is needed`,
        );
      }
      return base * schedule.factor ** Math.floor(done / schedule.every);
    default:
      return cosine(base, base * (schedule.floor ?? 0), done / (steps - warmup));
  }
}

function oneCycle(rising: number, base: number, { done, steps }: { done: number; steps: number }): number {
  const first = base / 25;
  const peak = rising * steps - 1;
  if (done <= peak) return peak <= 0 ? base : cosine(first, base, done / peak);
  const falling = steps - 1 - Math.max(peak, 0);
  return cosine(base, first / 1e4, falling === 0 ? 0 : (done - Math.max(peak, 0)) / falling);
}
