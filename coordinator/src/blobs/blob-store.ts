/** Bytes addressed by their sha256: models, checkpoints, sealed updates, data sets. A port; adapters differ in where the bytes lie. */
import type { BlobRef } from '@graft/models/pipeline/pipeline';
import type { SweepLimits } from '@graft/protos/transfer/partials';

export interface BlobStore {
  /** Size in bytes, or undefined where the blob is not stored whole. */
  has(hash: string): Promise<number | undefined>;
  /** Stores bytes durably; storing the same again changes nothing. Throws DISK_FULL. */
  put(bytes: Uint8Array): Promise<BlobRef>;
  /** The whole blob. Throws NOT_FOUND. */
  read(hash: string): Promise<Uint8Array>;
  /**
   * Chunk `index` of 1 MiB chunks; the last may be shorter. Throws NOT_FOUND, CHUNK_OUT_OF_RANGE.
   * @param into room for it, a chunk or what the blob has left; the answer may be a view of it, or of other memory
   */
  readChunk(hash: string, index: number, into?: Uint8Array): Promise<Uint8Array>;
  /** Leading whole chunks of a blob that is being received; 0 where there are none. */
  partial(hash: string): Promise<number>;
  /** Appends the next chunk. Throws CHUNK_OUT_OF_ORDER, DISK_FULL; what was stored before stays. */
  appendChunk(hash: string, index: number, bytes: Uint8Array): Promise<void>;
  /**
   * Makes a received blob durable, once its size and hash are right.
   * Throws BLOB_CORRUPT where they are not: the chunks are dropped and the sender starts again.
   */
  finish(hash: string, sizeBytes: number): Promise<BlobRef>;
  /** Removes a blob, or what was received of it; removing what is not there changes nothing. */
  delete(hash: string): Promise<void>;
  /** Deletes what was received of blobs that nobody finishes, by `partialsToSweep`. Answers how many and their bytes. */
  sweepPartials(limits: SweepLimits): Promise<Swept>;
  /** Where the file of a whole blob lies, for workers that read it themselves. */
  path(hash: string): string;
}

/** What a sweep deleted. */
export interface Swept {
  readonly count: number;
  readonly sizeBytes: number;
}
