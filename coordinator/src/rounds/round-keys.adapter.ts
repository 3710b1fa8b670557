/**
 * The key pair of a round: X25519, made by the coordinator, its secret half stored only sealed with the coordinator's master key
 * (nacl.secretbox: XSalsa20 and Poly1305, a random nonce in front). A copy of the database opens no update.
 */
import { GraftError } from '@graft/core/error';
import type { SigningKey } from '@graft/protos/identity/keys';
import { createRoundKey } from '@graft/protos/identity/random.adapter';
import { signRoundKey } from '@graft/protos/identity/signatures.adapter';
import nacl from 'tweetnacl';

import type { StoredRoundKey } from './material.js';
import type { RoundKey } from './plans.js';

export function newRoundKey(
  of: { readonly runId: string; readonly round: number },
  identity: SigningKey,
  masterKey: Uint8Array,
): StoredRoundKey {
  const pair = createRoundKey();
  const nonce = nacl.randomBytes(nacl.secretbox.nonceLength);
  const sealed = nacl.secretbox(pair.secretKey, nonce, masterKey);
  pair.secretKey.fill(0);
  return {
    round: of.round,
    publicKey: hex(pair.publicKey),
    signature: hex(signRoundKey(identity, { ...of, roundKey: pair.publicKey })),
    sealedSecretKey: hex(Buffer.concat([nonce, sealed])),
  };
}

/** Throws INTERNAL where the master key is not the one that sealed it. */
export function openSecretKey(stored: StoredRoundKey, masterKey: Uint8Array): Uint8Array {
  const bytes = Uint8Array.from(Buffer.from(stored.sealedSecretKey, 'hex'));
  const nonce = bytes.subarray(0, nacl.secretbox.nonceLength);
  const secretKey = nacl.secretbox.open(bytes.subarray(nacl.secretbox.nonceLength), nonce, masterKey);
  if (secretKey === null) {
    throw new GraftError(
      'INTERNAL',
      `the key of round ${stored.round} was sealed with another master key than this coordinator's`,
    );
  }
  return secretKey;
}

/** The public half, as a plan carries it. */
export function publicRoundKey({ publicKey, signature }: StoredRoundKey): RoundKey {
  return { publicKey: Buffer.from(publicKey, 'hex'), signature: Buffer.from(signature, 'hex') };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
