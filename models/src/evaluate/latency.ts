/** How long an answer takes: percentiles, since a mean hides the waits that people notice. */
import type { Feeds, Session } from '../runtime/runtime.js';

export interface Latency {
  readonly p50Ms: number;
  readonly p95Ms: number;
}

/** Percentiles by nearest rank: values that were really measured. Throws a RangeError for no samples. */
export function summariseLatency(samplesMs: readonly number[]): Latency {
  const sorted = [...samplesMs].sort((a, b) => a - b);
  return { p50Ms: percentile(sorted, 0.5), p95Ms: percentile(sorted, 0.95) };
}

function percentile(sorted: readonly number[], share: number): number {
  const value = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
  if (value === undefined) throw new RangeError('no latency was measured');
  return value;
}

export interface LatencyOptions {
  /** A monotonic clock, milliseconds with fractions (performance.now). */
  readonly nowMs: () => number;
  readonly runs: number;
  /** Runs that are not counted: the first ones allocate memory. */
  readonly warmUp: number;
}

/** Latency of one run after another of the same feeds. */
export async function measureLatency(session: Session, feeds: Feeds, options: LatencyOptions): Promise<Latency> {
  for (let run = 0; run < options.warmUp; run++) await session.run(feeds);
  const samplesMs: number[] = [];
  for (let run = 0; run < options.runs; run++) {
    const startMs = options.nowMs();
    await session.run(feeds);
    samplesMs.push(options.nowMs() - startMs);
  }
  return summariseLatency(samplesMs);
}
