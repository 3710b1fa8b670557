/** Seals a delta straight into the file that will be uploaded: its plaintext never touches the disk. */
import { open } from 'node:fs/promises';

import { limits } from '@graft/core/limits';
import { createSealer, type SealedFields } from '@graft/protos/sealed/seal.adapter';
import { plaintextChunkBytes, plaintextLength, tagBytes } from '@graft/protos/sealed/envelope';

import type { JobControl } from './serve.driver.js';
import type { SealTo } from './trainer-calls.js';

/**
 * Nothing is synced: an update that a power cut damaged has another size or hash, and is trained again.
 * @param plaintextBytes bytes of the delta: float32, little-endian, in layout order
 * @param chunkAt the plaintext of a chunk, from its first byte; may be the same buffer every time
 * @returns what the manifest says of the envelope
 */
export async function sealToFile(
  seal: SealTo,
  delta: { readonly plaintextBytes: number; readonly chunkAt: (start: number, length: number) => Uint8Array },
  { signal, onProgress }: JobControl,
): Promise<SealedFields> {
  const { plaintextBytes, chunkAt } = delta;
  const sealer = createSealer({ ...seal, plaintextBytes });
  const wire = new Uint8Array(Math.min(limits.chunkBytes, plaintextBytes + tagBytes));
  const file = await open(seal.file, 'w', 0o640);
  try {
    for (let index = 0; index < sealer.chunkCount; index++) {
      signal.throwIfAborted();
      const plaintext = chunkAt(index * plaintextChunkBytes, plaintextLength(plaintextBytes, index));
      const chunk = sealer.seal(plaintext, wire);
      await file.write(chunk, 0, chunk.length);
      onProgress({ activity: 'sealing', progress: (index + 1) / sealer.chunkCount });
    }
  } finally {
    await file.close();
  }
  return sealer.finish();
}
