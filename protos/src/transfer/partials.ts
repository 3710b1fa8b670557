/**
 * Which half-received files to delete. Both sides keep what a cut connection left, so that only the rest travels;
 * what nobody comes back for would stay for ever.
 */

/** A half-received file. */
export interface Partial {
  readonly name: string;
  readonly sizeBytes: number;
  /** When its last chunk came. */
  readonly writtenAtMs: number;
}

export interface SweepLimits {
  readonly atMs: number;
  /** Whatever got its last chunk longer ago is deleted. */
  readonly maxAgeMs: number;
  /** The oldest are deleted until at most so many bytes remain. */
  readonly maxBytes: number;
  /** What got a chunk within this time is being received, and stays whatever the bytes. */
  readonly graceMs: number;
}

/** What is to be deleted, oldest first. */
export function partialsToSweep(found: readonly Partial[], limits: SweepLimits): readonly Partial[] {
  const { atMs, maxAgeMs, maxBytes, graceMs } = limits;
  let bytes = found.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const swept: Partial[] = [];
  for (const partial of found.toSorted((a, b) => a.writtenAtMs - b.writtenAtMs)) {
    const ageMs = atMs - partial.writtenAtMs;
    if (ageMs <= graceMs || (ageMs <= maxAgeMs && bytes <= maxBytes)) continue;
    swept.push(partial);
    bytes -= partial.sizeBytes;
  }
  return swept;
}
