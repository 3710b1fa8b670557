/** Where a training stands: steps done, losses and metrics of the epoch, the loss scale; what is fed to a run because of it. */
import { seedFrom } from '@graft/core/random';
import { elementCount, tensor, type Tensor } from '@graft/core/tensor';

import type { Feeds, Fetches } from '../runtime/runtime.js';
import type { PlannedRun } from './batch-plan.js';
import { EpochSums } from './epoch-sums.js';
import { initialLossScale, nextLossScale, type LossScale } from './optimizers/loss-scale.js';
import { stepScalars } from './optimizers/step-scalars.js';
import { rateAt, type Schedule } from './schedules.js';
import { scalarFeeds } from './step-feeds.js';
import type { TrainingCheckpoint } from './training-checkpoint.js';
import type { TrainingState } from './training-state.js';
import type { ScalarRole, TrainingStep } from './training-step.js';

/** What scalars follow from, beside the number of the step. */
export interface Rates {
  readonly learningRate: number;
  readonly schedule?: Schedule;
  readonly seed: number;
  readonly coefficients?: Readonly<Partial<Record<ScalarRole, number>>>;
}

/** A loss that is no number. */
export interface Divergence {
  /** From 1. */
  readonly step: number;
  readonly loss: number;
}

export interface TrainingProgress {
  /** Steps done, and all of them. */
  readonly step: number;
  readonly steps: number;
  readonly epoch: number;
  /** Of the last step's batch, before that step. */
  readonly loss: number;
  /** Since the last call. */
  readonly examples: number;
}

export class Tally {
  done: number;
  initialLoss: number;
  /** Whether the last run ended its step. */
  isBetweenSteps = true;
  readonly sums: EpochSums;
  private scale: LossScale;
  /** Of the step in hand, from its runs so far; then of the last step. */
  private stepLoss = 0;
  private lastLoss = NaN;
  private epoch = 0;
  private examples = 0;

  constructor(
    private readonly step: TrainingStep,
    private readonly steps: number,
    resume: TrainingCheckpoint | undefined,
  ) {
    this.done = resume?.steps ?? 0;
    this.initialLoss = resume?.initialLoss ?? NaN;
    this.scale = resume?.lossScale ?? initialLossScale;
    this.sums = new EpochSums(step, resume);
  }

  /** Scalars of the runs of a group, which are steps of their own where there are several, by input of `form`. */
  feeds(form: TrainingStep, runs: readonly PlannedRun[], rates: Rates): Feeds {
    const each = runs.map((run, i) => scalarFeeds(form, this.scalarsOf(run, this.done + i, rates)));
    const [first = {}] = each;
    if (each.length === 1) return first;
    return Object.fromEntries(
      Object.keys(first).map((name) => [
        name,
        tensor(
          'float32',
          [each.length],
          Float32Array.from(each, (feeds) => numberOf(feeds[name])),
        ),
      ]),
    );
  }

  /** Takes what a group of runs gave. Returns the first loss that is no number, and counts nothing from there on. */
  add(form: TrainingStep, runs: readonly PlannedRun[], fetches: Fetches): Divergence | undefined {
    for (const [i, run] of runs.entries()) {
      const loss = numberOf(fetches[form.loss], i);
      if (!Number.isFinite(loss)) return { step: this.done + 1, loss };
      this.addRun(run, loss, this.metricsOf(form, fetches, { at: i, of: runs.length }));
      if (form.finite !== undefined) this.scale = nextLossScale(this.scale, numberOf(fetches[form.finite], i) === 1);
    }
    return undefined;
  }

  progress(): TrainingProgress {
    const { examples, done, steps, epoch, lastLoss } = this;
    this.examples = 0;
    return { step: done, steps, epoch, loss: lastLoss, examples };
  }

  async checkpoint(state: TrainingState): Promise<TrainingCheckpoint> {
    return {
      steps: this.done,
      initialLoss: this.initialLoss,
      epochLoss: this.sums.loss,
      ...(Number.isFinite(this.sums.last.loss) && { lastEpochLoss: this.sums.last.loss }),
      lossScale: this.scale,
      state: new Map([...(await state.snapshot()), ...this.sums.tensors()]),
    };
  }

  private scalarsOf(run: PlannedRun, number: number, rates: Rates): Partial<Record<ScalarRole, number>> {
    const rate = rateAt(rates.schedule ?? { kind: 'constant' }, rates.learningRate, number + 1, this.steps);
    return {
      ...rates.coefficients,
      ...stepScalars(this.step.optimizer, rate, number + 1),
      seed: seedFrom(rates.seed, number, run.part) % 2 ** 24,
      lossScale: this.scale.scale,
      share: run.share,
      apply: run.isLast ? 1 : 0,
    };
  }

  private addRun(run: PlannedRun, loss: number, metrics: ReadonlyMap<string, Tensor<'float32'>>): void {
    this.stepLoss += loss * run.share;
    this.examples += run.rows.length;
    this.epoch = run.epoch;
    this.sums.add(loss * run.rows.length, metrics);
    this.isBetweenSteps = run.isLast;
    if (!run.isLast) return;
    this.done += 1;
    this.lastLoss = this.stepLoss;
    this.stepLoss = 0;
    if (this.done === 1) this.initialLoss = this.lastLoss;
    if (run.endsEpoch) this.sums.endEpoch();
  }

  /** By the output of the step, whatever its form calls it; of a group, the part of one run. */
  private metricsOf(
    form: TrainingStep,
    fetches: Fetches,
    part: { at: number; of: number },
  ): Map<string, Tensor<'float32'>> {
    const entries = this.step.metrics.flatMap(({ output }, i): [string, Tensor<'float32'>][] => {
      const value = fetches[form.metrics[i]?.output ?? ''];
      if (value?.dtype !== 'float32') return [];
      if (part.of === 1) return [[output, value]];
      const shape = value.shape.slice(1);
      const length = elementCount(shape);
      return [[output, tensor('float32', shape, value.data.subarray(part.at * length, (part.at + 1) * length))]];
    });
    return new Map(entries);
  }
}

const numberOf = (value: Tensor | undefined, at = 0): number =>
  value?.dtype === 'float32' ? (value.data[at] ?? NaN) : NaN;
