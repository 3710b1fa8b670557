/** A sealed update in a file, opened one chunk at a time into one buffer. For worker threads: reads are synchronous. */
import { closeSync, openSync, readSync } from 'node:fs';

import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';
import { decodeUpdateManifest } from '@graft/protos/message-codec.adapter';
import { plaintextChunkBytes } from '@graft/protos/sealed/envelope';
import { chunkOpener, openEnvelope } from '@graft/protos/sealed/open.adapter';

/** Float32 of a full chunk. */
export const elementsPerChunk = plaintextChunkBytes / Float32Array.BYTES_PER_ELEMENT;

/**
 * Where a sealed chunk is read to. One for the thread, because reads are synchronous and what is opened lies elsewhere:
 * a buffer for each update would hold as many chunks as the cohort has agents.
 */
const sealed = new Uint8Array(limits.chunkBytes);

export interface SealedDelta {
  readonly chunkCount: number;
  /** Elements of the whole delta. */
  readonly length: number;
  /** The elements of chunk `index`; every chunk but the last has `elementsPerChunk`. Valid until the next read. */
  read(index: number): Float32Array;
}

/**
 * @param file the ciphertext, as long as the manifest says
 * @throws ENVELOPE_INVALID where the envelope is not for this round or, while reading, where a chunk does not verify
 */
export function sealedDelta(file: string, manifestBytes: Uint8Array, roundSecretKey: Uint8Array): SealedDelta {
  const manifest = decodeUpdateManifest(manifestBytes);
  const envelope = openEnvelope(manifest, roundSecretKey);
  const sizeBytes = manifest.ciphertext?.sizeBytes ?? 0;
  const open = chunkOpener(envelope);
  if (envelope.plaintextBytes % Float32Array.BYTES_PER_ELEMENT !== 0) {
    throw new GraftError('ENVELOPE_INVALID', `a delta of ${envelope.plaintextBytes} bytes is no vector of float32`);
  }
  return {
    chunkCount: envelope.chunkCount,
    length: envelope.plaintextBytes / Float32Array.BYTES_PER_ELEMENT,
    read: (index) => {
      const offset = index * limits.chunkBytes;
      const wanted = Math.min(limits.chunkBytes, sizeBytes - offset);
      // One file descriptor at a time, however many updates are folded together.
      const descriptor = openSync(file, 'r');
      try {
        const length = readSync(descriptor, sealed, 0, wanted, offset);
        return floatsOf(open(index, sealed.subarray(0, length)));
      } finally {
        closeSync(descriptor);
      }
    },
  };
}

/** A view where the plaintext is aligned, else over a copy. */
function floatsOf(plaintext: Uint8Array): Float32Array {
  const aligned = plaintext.byteOffset % Float32Array.BYTES_PER_ELEMENT === 0 ? plaintext : plaintext.slice();
  return new Float32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / Float32Array.BYTES_PER_ELEMENT);
}
