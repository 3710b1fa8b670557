/**
 * A token bucket that may go into debt: whoever takes more than there is waits until the debt is paid, and so does everybody
 * after it. Over any time t no more than burst + rate x t passes. (Turner, 'New Directions in Communications', 1986.)
 */
export interface BucketRate {
  readonly bytesPerS: number;
  /** What may pass at once after a rest. */
  readonly burstBytes: number;
}

export interface Bucket {
  /** Bytes that may pass now; negative where more has passed than was due. */
  readonly tokens: number;
  readonly atMs: number;
}

/** A bucket that nothing has been taken from. */
export const fullBucket = (rate: BucketRate, atMs: number): Bucket => ({ tokens: rate.burstBytes, atMs });

/** Takes `bytes` at `atMs`. Answers how long whoever takes them has to wait, in milliseconds. A clock that goes back adds nothing. */
export function takeTokens(
  bucket: Bucket,
  rate: BucketRate,
  { bytes, atMs }: { readonly bytes: number; readonly atMs: number },
): { readonly bucket: Bucket; readonly waitMs: number } {
  const earned = (Math.max(0, atMs - bucket.atMs) / 1000) * rate.bytesPerS;
  const tokens = Math.min(rate.burstBytes, bucket.tokens + earned) - bytes;
  return { bucket: { tokens, atMs }, waitMs: Math.max(0, (-tokens / rate.bytesPerS) * 1000) };
}
