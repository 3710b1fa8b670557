/** Waiting between attempts: exponential with jitter, so that agents of one coordinator do not return in step. */
import type { Random } from '@graft/core/random';

export interface BackoffPolicy {
  /** First wait, milliseconds. */
  readonly baseMs: number;
  /** Longest wait, milliseconds. */
  readonly capMs: number;
}

/**
 * Milliseconds to wait before attempt `failures + 1`: uniform in [w/2, w] with w = min(cap, base * 2^(failures - 1)).
 * @param failures attempts that failed in a row, at least 1
 */
export function backoffMs(failures: number, policy: BackoffPolicy, random: Random): number {
  const whole = Math.min(policy.capMs, policy.baseMs * 2 ** Math.min(30, Math.max(0, failures - 1)));
  return Math.round(whole / 2 + (random.next() * whole) / 2);
}
