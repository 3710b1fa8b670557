/**
 * The signatures of every round, by node:crypto: Ed25519 (RFC 8032) in a tenth of the time that plain JavaScript takes, and a round
 * has several for each agent. Keys and signatures are those of signatures.ts. Verifiers take bytes that nobody has checked and never throw.
 */
import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto';

import { GraftError } from '@graft/core/error';

import { keyBytes, signatureBytes, type SigningKey } from './keys.js';
import { releaseMessage, roundKeyMessage, updateMessage, type RoundKeyClaim } from './signatures.js';

/** What comes before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo and in a PrivateKeyInfo (RFC 8410, sections 4 and 7). */
const spkiPrefix = Buffer.from('302a300506032b6570032100', 'hex');
const pkcs8Prefix = Buffer.from('302e020100300506032b657004220420', 'hex');

/** By the coordinator's identity key, for every plan. Throws INTERNAL for a run id or a key that no plan can name. */
export function signRoundKey(key: SigningKey, claim: RoundKeyClaim): Uint8Array {
  const message = roundKeyMessage(claim);
  if (message === undefined) throw new GraftError('INTERNAL', `the key of round ${claim.round} cannot be signed`);
  return signed(key, message);
}

export function verifyRoundKey(identityKey: Uint8Array, claim: RoundKeyClaim, signature: Uint8Array): boolean {
  const message = roundKeyMessage(claim);
  return message !== undefined && verified(identityKey, message, signature);
}

/** By the agent's signing key, over the manifest's very bytes. */
export function signUpdate(key: SigningKey, manifest: Uint8Array): Uint8Array {
  return signed(key, updateMessage(manifest));
}

export function verifyUpdate(signingKey: Uint8Array, manifest: Uint8Array, signature: Uint8Array): boolean {
  return verified(signingKey, updateMessage(manifest), signature);
}

/** By the coordinator's identity key, over the release manifest's very bytes. */
export function signRelease(key: SigningKey, manifest: Uint8Array): Uint8Array {
  return signed(key, releaseMessage(manifest));
}

export function verifyRelease(identityKey: Uint8Array, manifest: Uint8Array, signature: Uint8Array): boolean {
  return verified(identityKey, releaseMessage(manifest), signature);
}

/** The seed is the first half of tweetnacl's secret key. */
function signed({ secretKey }: SigningKey, message: Uint8Array): Uint8Array {
  const der = Buffer.concat([pkcs8Prefix, secretKey.subarray(0, keyBytes)]);
  const signature = sign(null, message, createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
  der.fill(0);
  return Uint8Array.from(signature);
}

function verified(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.byteLength !== keyBytes || signature.byteLength !== signatureBytes) return false;
  const key = createPublicKey({ key: Buffer.concat([spkiPrefix, publicKey]), format: 'der', type: 'spki' });
  return verify(null, message, key, signature);
}
