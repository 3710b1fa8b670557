/** Which rows make up each run of a training: a new order every epoch, from the seed and the epoch alone, so that it can begin anywhere. */
import { random, seedFrom } from '@graft/core/random';

export interface BatchPlan {
  readonly count: number;
  readonly epochs: number;
  /** Rows an optimizer step; the last one of an epoch has what is left. */
  readonly batchSize: number;
  /** Rows a run at most: a step of more is made of several runs. */
  readonly microBatchSize: number;
  /** A rest of fewer rows joins the step before it; a step is not cut into runs of fewer. */
  readonly leastRows: number;
  readonly seed: number;
}

export interface PlannedRun {
  /** From 0. */
  readonly epoch: number;
  readonly rows: readonly number[];
  /** Number of this run in its step, from 0. */
  readonly part: number;
  /** Rows of this run over those of its step. */
  readonly share: number;
  /** Of its step. */
  readonly isLast: boolean;
  readonly stepRows: number;
  /** The last run of the last step of its epoch. */
  readonly endsEpoch: boolean;
}

/** First row of each step of an epoch. */
function beginnings({ count, batchSize, leastRows }: BatchPlan): number[] {
  const begins = Array.from({ length: Math.ceil(count / batchSize) }, (_, i) => i * batchSize);
  const rest = count - (begins.at(-1) ?? 0);
  return begins.length > 1 && rest < leastRows ? begins.slice(0, -1) : begins;
}

/** Optimizer steps of all epochs. */
export function stepsOf(plan: BatchPlan): number {
  return plan.epochs * beginnings(plan).length;
}

/** The runs of the steps from number `firstStep` on, counted from 0. */
export function* plannedRuns(plan: BatchPlan, firstStep: number): Generator<PlannedRun> {
  const begins = beginnings(plan);
  for (let epoch = Math.floor(firstStep / begins.length); epoch < plan.epochs; epoch++) {
    const order = random(seedFrom(plan.seed, epoch)).shuffle([...Array(plan.count).keys()]);
    for (let i = Math.max(0, firstStep - epoch * begins.length); i < begins.length; i++) {
      const rows = order.slice(begins[i], begins[i + 1]);
      const parts = microBatches(rows, plan);
      for (const [part, each] of parts.entries()) {
        const isLast = part === parts.length - 1;
        const share = each.length / rows.length;
        const endsEpoch = isLast && i === begins.length - 1;
        yield { epoch, rows: each, part, share, isLast, stepRows: rows.length, endsEpoch };
      }
    }
  }
}

/** Rows in parts of at most the micro-batch's size, of nearly equal length; of more only where they would have too few. */
function microBatches(rows: readonly number[], { microBatchSize, leastRows }: BatchPlan): (readonly number[])[] {
  const most = Math.max(1, Math.floor(rows.length / leastRows));
  const parts = Math.min(most, Math.ceil(rows.length / microBatchSize));
  return Array.from({ length: parts }, (_, i) =>
    rows.slice(Math.floor((i * rows.length) / parts), Math.floor(((i + 1) * rows.length) / parts)),
  );
}
