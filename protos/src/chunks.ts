/** How a blob is cut for the wire: every chunk is exactly `limits.chunkBytes`, the last one has what remains. */
import { limits } from '@graft/core/limits';

/** Chunks of a blob of `sizeBytes`; an empty blob has none. */
export function chunkCount(sizeBytes: number): number {
  return Math.ceil(sizeBytes / limits.chunkBytes);
}

/** Where chunk `index` lies in a blob: its first byte and its length. Throws a RangeError past the end. */
export function chunkRange(sizeBytes: number, index: number): { readonly start: number; readonly length: number } {
  const count = chunkCount(sizeBytes);
  if (!Number.isInteger(index) || index < 0 || index >= count) {
    throw new RangeError(`chunk ${index} of a blob of ${sizeBytes} bytes, which has ${count}`);
  }
  const start = index * limits.chunkBytes;
  return { start, length: Math.min(limits.chunkBytes, sizeBytes - start) };
}
