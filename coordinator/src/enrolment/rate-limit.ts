/**
 * How often an address may fail to enrol: a bucket of attempts that fills at a steady pace. A token has 160 random bits, so this is
 * not what keeps it secret; it keeps a guesser from filling the log. Sites with a good token are never held up by it, however
 * many of them sit behind one address.
 */
import { GraftError } from '@graft/core/error';

export interface RateLimit {
  /** Takes one attempt. Throws RATE_LIMITED with the time to wait. */
  take(address: string, atMs: number): void;
}

export interface RateLimitOptions {
  /** Attempts at once. */
  readonly burst: number;
  /** Time for one more attempt. */
  readonly refillMs: number;
  /** Addresses that are remembered; the oldest is forgotten first. */
  readonly addresses: number;
}

export function rateLimit({ burst, refillMs, addresses }: RateLimitOptions): RateLimit {
  const buckets = new Map<string, { readonly attempts: number; readonly atMs: number }>();
  return {
    take: (address, atMs) => {
      const before = buckets.get(address) ?? { attempts: burst, atMs };
      const attempts = Math.min(burst, before.attempts + Math.max(0, atMs - before.atMs) / refillMs);
      buckets.delete(address);
      buckets.set(address, { attempts: Math.max(0, attempts - 1), atMs });
      for (const oldest of buckets.keys()) {
        if (buckets.size <= addresses) break;
        buckets.delete(oldest);
      }
      if (attempts >= 1) return;
      buckets.set(address, { attempts, atMs });
      const waitMs = Math.ceil((1 - attempts) * refillMs);
      throw new GraftError(
        'RATE_LIMITED',
        `more than ${burst} failed enrolments at once from ${address}; wait ${Math.ceil(waitMs / 1000)} s`,
        {
          details: { waitMs },
        },
      );
    },
  };
}
