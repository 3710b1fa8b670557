/**
 * Pauses before the next attempt: they double, up to a limit, and each is drawn from the whole range below ("full jitter"), so that
 * those who failed together do not come back together. Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog 2015.
 */
export interface Backoff {
  readonly firstMs: number;
  readonly longestMs: number;
}

/**
 * @param attempt 1 after the first failure
 * @param chance uniform in [0, 1)
 */
export function backoffMs({ firstMs, longestMs }: Backoff, attempt: number, chance: number): number {
  return chance * Math.min(longestMs, firstMs * 2 ** (attempt - 1));
}
