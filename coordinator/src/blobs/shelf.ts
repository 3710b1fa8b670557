/** What lies in a blob store, for the sweep of what nothing names any more. */
export interface ShelvedBlob {
  readonly hash: string;
  readonly sizeBytes: number;
  /** When it was written, or last asked for, whichever is later; within an hour. */
  readonly usedAtMs: number;
}

export interface BlobShelf {
  list(): AsyncIterable<ShelvedBlob>;
  /** As `list`, for one blob; undefined where it is not there. */
  find(hash: string): Promise<ShelvedBlob | undefined>;
}

/** The use of a blob is noted once in this time. */
export const noteUseMs = 3_600_000;
