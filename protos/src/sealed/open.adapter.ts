/**
 * Opens sealed deltas, chunk by chunk in any order and on any thread. Nothing of a chunk is given out before its tag has
 * been verified. The context is the manifest's: check first that it is signed, and is what the round asked for.
 */
import { GraftError } from '@graft/core/error';
import { createDecipheriv } from 'node:crypto';
import nacl from 'tweetnacl';
import { keyBytes } from '../identity/keys.js';
import type { UpdateManifest } from '../messages.js';
import {
  chunkBinding,
  chunkNonce,
  plaintextBytesOf,
  plaintextLength,
  sealedChunkCount,
  sessionNonceBytes,
  tagBytes,
  type SealContext,
} from './envelope.js';

/** Plain data that may be posted to a worker thread: the content key, and what its chunks are bound to. */
export interface OpenedEnvelope {
  readonly contentKey: Uint8Array;
  readonly context: SealContext;
  readonly ephemeralKey: Uint8Array;
  readonly sessionNonce: Uint8Array;
  readonly plaintextBytes: number;
  readonly chunkCount: number;
}

/**
 * Unboxes the content key with the round's secret key.
 * Throws ENVELOPE_INVALID where a field has the wrong size or the box is not for this key.
 */
export function openEnvelope(manifest: UpdateManifest, roundSecretKey: Uint8Array): OpenedEnvelope {
  const { ciphertext, boxedKey, boxedKeyNonce, ephemeralKey, sessionNonce } = manifest;
  const plaintextBytes = plaintextBytesOf(ciphertext?.sizeBytes ?? 0);
  if (plaintextBytes === undefined) {
    throw invalid(manifest, `says ${ciphertext?.sizeBytes ?? 0} bytes of ciphertext, a size that no envelope has`);
  }
  const sizes = [
    ['boxed key', boxedKey, keyBytes + nacl.box.overheadLength],
    ['nonce', boxedKeyNonce, nacl.box.nonceLength],
    ['ephemeral key', ephemeralKey, nacl.box.publicKeyLength],
    ['session nonce', sessionNonce, sessionNonceBytes],
  ] as const;
  for (const [name, { byteLength }, expected] of sizes) {
    if (byteLength !== expected) throw invalid(manifest, `has a ${name} of ${byteLength} bytes, not ${expected}`);
  }
  const contentKey = nacl.box.open(boxedKey, boxedKeyNonce, ephemeralKey, roundSecretKey);
  if (contentKey === null) throw invalid(manifest, 'is not sealed to the key of this round');
  const { taskId, runId, round, agentId, baseHash, layoutHash } = manifest;
  return {
    contentKey,
    context: { taskId, runId, round, agentId, baseHash, layoutHash },
    ephemeralKey,
    sessionNonce,
    plaintextBytes,
    chunkCount: sealedChunkCount(plaintextBytes),
  };
}

/** Opens chunks by their number; each answer is a buffer of its own. */
export function chunkOpener(envelope: OpenedEnvelope): (index: number, chunk: Uint8Array) => Uint8Array {
  const { contentKey, context, plaintextBytes, chunkCount } = envelope;
  const binding = chunkBinding(context, envelope);
  return (index, chunk) => {
    const length = index >= 0 && index < chunkCount ? plaintextLength(plaintextBytes, index) : undefined;
    if (length === undefined) throw invalid(context, `has no chunk ${index}, only ${chunkCount}`);
    if (chunk.byteLength !== length + tagBytes) {
      throw invalid(context, `has ${chunk.byteLength} bytes in chunk ${index}, not ${length + tagBytes}`);
    }
    const decipher = createDecipheriv('aes-256-gcm', contentKey, chunkNonce(index), { authTagLength: tagBytes });
    decipher.setAAD(binding(index));
    decipher.setAuthTag(chunk.subarray(length));
    const plaintext = decipher.update(chunk.subarray(0, length));
    try {
      decipher.final();
    } catch (cause) {
      throw invalid(context, `does not verify at chunk ${index} of ${chunkCount}`, cause);
    }
    return plaintext;
  };
}

/**
 * Opens all chunks of an envelope in order. Throws ENVELOPE_INVALID at the first that does not verify, and at the end
 * where chunks are missing or too many: use nothing of the delta before the end.
 */
export async function* openInOrder(
  envelope: OpenedEnvelope,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const open = chunkOpener(envelope);
  let index = 0;
  for await (const chunk of chunks) yield open(index++, chunk);
  if (index !== envelope.chunkCount) {
    throw invalid(envelope.context, `ends after ${index} of ${envelope.chunkCount} chunks`);
  }
}

function invalid({ agentId, round }: { agentId: string; round: number }, why: string, cause?: unknown): GraftError {
  return new GraftError('ENVELOPE_INVALID', `the update of agent ${agentId} for round ${round} ${why}`, {
    details: { agentId, round },
    cause,
  });
}
