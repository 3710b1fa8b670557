/** How late the event loop turns: since the start, and since it was read last. */
import { monitorEventLoopDelay, type IntervalHistogram } from 'node:perf_hooks';

export interface LoopDelay {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export interface EventLoopDelay {
  p99Ms(): number;
  maxMs(): number;
  /** Since it was called last: what a graph over time needs. */
  recent(): LoopDelay;
  close(): void;
}

/** How often the event loop is looked at; the histogram counts this time too, so it is taken off. */
const resolutionMs = 10;

export function eventLoopDelay(): EventLoopDelay {
  const whole = monitorEventLoopDelay({ resolution: resolutionMs });
  const recent = monitorEventLoopDelay({ resolution: resolutionMs });
  whole.enable();
  recent.enable();
  return {
    p99Ms: () => delayOf(whole).p99Ms,
    maxMs: () => delayOf(whole).maxMs,
    recent: () => {
      const delay = delayOf(recent);
      recent.reset();
      return delay;
    },
    close: () => {
      whole.disable();
      recent.disable();
    },
  };
}

function delayOf(histogram: IntervalHistogram): LoopDelay {
  if (histogram.count === 0) return { p50Ms: 0, p99Ms: 0, maxMs: 0 };
  const lateMs = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - resolutionMs);
  return {
    p50Ms: lateMs(histogram.percentile(50)),
    p99Ms: lateMs(histogram.percentile(99)),
    maxMs: lateMs(histogram.max),
  };
}
