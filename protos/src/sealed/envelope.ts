/**
 * The sealed envelope of a delta: sizes and the data that every chunk is bound to. docs/protocol.md has the format.
 * AES-256-GCM (NIST SP 800-38D): one fresh key an envelope, the chunk's number as nonce, a tag of 16 bytes.
 */
import { limits } from '@graft/core/limits';
import { keyBytes } from '../identity/keys.js';

export const tagBytes = 16;
export const nonceBytes = 12;
export const sessionNonceBytes = 16;

/** Plaintext of a chunk, so that its ciphertext and tag fill one chunk of the wire. A multiple of 4: no float32 is cut. */
export const plaintextChunkBytes = limits.chunkBytes - tagBytes;

/** Whose delta it is and where it belongs. An envelope opens in this context and in no other. */
export interface SealContext {
  readonly taskId: string;
  readonly runId: string;
  readonly round: number;
  readonly agentId: string;
  readonly baseHash: string;
  readonly layoutHash: string;
}

/** What one sealing adds to its context. */
export interface SealSession {
  readonly ephemeralKey: Uint8Array;
  readonly sessionNonce: Uint8Array;
  readonly plaintextBytes: number;
}

/** Chunks of an envelope; an empty delta still has one, or its end could not be told. */
export function sealedChunkCount(plaintextBytes: number): number {
  return Math.max(1, Math.ceil(plaintextBytes / plaintextChunkBytes));
}

/** Bytes of the ciphertext. */
export function ciphertextBytes(plaintextBytes: number): number {
  return plaintextBytes + tagBytes * sealedChunkCount(plaintextBytes);
}

/** Bytes of the plaintext in a ciphertext of `sizeBytes`, or undefined where no envelope has that size. */
export function plaintextBytesOf(sizeBytes: number): number | undefined {
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < tagBytes) return undefined;
  const plaintextBytes = sizeBytes - tagBytes * Math.ceil(sizeBytes / limits.chunkBytes);
  return plaintextBytes >= 0 && ciphertextBytes(plaintextBytes) === sizeBytes ? plaintextBytes : undefined;
}

/** Length of the plaintext of chunk `index`. */
export function plaintextLength(plaintextBytes: number, index: number): number {
  return Math.min(plaintextChunkBytes, plaintextBytes - index * plaintextChunkBytes);
}

/** The GCM nonce of chunk `index`: unique, because a key seals one envelope only. */
export function chunkNonce(index: number): Uint8Array {
  const nonce = new Uint8Array(nonceBytes);
  new DataView(nonce.buffer).setUint32(8, index);
  return nonce;
}

/**
 * The authenticated data of the chunks, as a function of their number. Texts are preceded by their length (u16) and
 * integers are big-endian, so that two contexts never give the same bytes.
 */
export function chunkBinding(context: SealContext, session: SealSession): (index: number) => Uint8Array {
  const texts = [
    'graft/v1/sealed',
    context.taskId,
    context.runId,
    context.agentId,
    context.baseHash,
    context.layoutHash,
  ].map((text) => new TextEncoder().encode(text));
  const textBytes = texts.reduce((sum, text) => sum + 2 + text.byteLength, 0);
  const bytes = new Uint8Array(textBytes + keyBytes + sessionNonceBytes + 4 + 8 + 4 + 4 + 1);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const text of texts) {
    if (text.byteLength > 0xffff) throw new RangeError(`a name of ${text.byteLength} bytes, the limit is 65535`);
    view.setUint16(at, text.byteLength);
    bytes.set(text, at + 2);
    at += 2 + text.byteLength;
  }
  bytes.set(session.ephemeralKey, at);
  bytes.set(session.sessionNonce, at + keyBytes);
  at += keyBytes + sessionNonceBytes;
  const count = sealedChunkCount(session.plaintextBytes);
  view.setUint32(at, context.round);
  view.setBigUint64(at + 4, BigInt(session.plaintextBytes));
  view.setUint32(at + 12, count);
  return (index) => {
    const binding = bytes.slice();
    new DataView(binding.buffer).setUint32(at + 16, index);
    binding[at + 20] = index === count - 1 ? 1 : 0;
    return binding;
  };
}
