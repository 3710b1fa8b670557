/** From a delta and its base to the target, block by block: memory holds three blocks, however large the files are. */
import { createHash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';

import { blockLength, checkHeader, frameBytes, headerBytes, invalid, readFrame, type DeltaHeader } from './format.js';
import { unpackBlock } from './blocks.adapter.js';

export interface DeltaFiles {
  readonly base: string;
  readonly delta: string;
  /** Written anew; removing it where this throws is the caller's. */
  readonly target: string;
}

/**
 * Writes the target and answers once its sha256 is right. The base is the caller's to trust.
 * Throws DELTA_INVALID where the delta is not whole, not of these files, or does not make the target.
 */
export async function applyDelta(files: DeltaFiles, expected: DeltaHeader): Promise<void> {
  const opened: FileHandle[] = [];
  try {
    const [base, delta, target] = [
      await open(files.base),
      await open(files.delta),
      await open(files.target, 'w', 0o640),
    ];
    opened.push(base, delta, target);
    checkHeader(await readUpTo(delta, headerBytes, 0), expected);
    const hash = createHash('sha256');
    let at = headerBytes;
    for (let index = 0, start = 0; start < expected.sizeBytes; index++) {
      const length = blockLength(expected.sizeBytes, index);
      const { form, packedBytes } = readFrame(await readUpTo(delta, frameBytes, at), length);
      const packed = await readUpTo(delta, packedBytes, at + frameBytes);
      if (packed.length !== packedBytes) throw invalid(`ends within block ${index}`);
      const from = await readUpTo(base, length, start);
      if (from.length !== length) throw invalid(`has a base that ends at byte ${start + from.length}`);
      const block = await unpackBlock(form, packed, from);
      hash.update(block);
      await target.writeFile(block);
      at += frameBytes + packedBytes;
      start += length;
    }
    if ((await readUpTo(delta, 1, at)).length > 0) throw invalid('has bytes behind its last block');
    const made = hash.digest('hex');
    if (made !== expected.to) throw invalid(`makes a file with sha256 ${made}, not ${expected.to}`);
  } finally {
    for (const file of opened) await file.close();
  }
}

/** Fewer than `length` bytes at the end of the file only. */
export async function readUpTo(file: FileHandle, length: number, position: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await file.read(bytes, filled, length - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}
