/** Differences between checkpoints: what an agent that has one needs to make the other. A port. */
import type { BlobRef } from '@graft/models/pipeline/pipeline';

export interface Delta {
  /** Hash of the blob that it is a difference to. */
  readonly from: string;
  /** The difference, a blob of its own. */
  readonly blob: BlobRef;
}

export interface Deltas {
  /**
   * The smallest way from one of `bases` to `to`; undefined where the whole is no larger, or a difference cannot be had in time.
   * @param bases hashes that the agent has and may read
   */
  find(bases: readonly string[], to: BlobRef): Promise<Delta | undefined>;
}

/** Always the whole. */
export const noDeltas: Deltas = { find: async () => undefined };
