/**
 * Key pairs from their secret seeds: Ed25519 to sign (RFC 8032), X25519 to agree (RFC 7748), both by tweetnacl.
 * A seed is 32 random bytes, made where the key is used, and never leaves that place.
 */
import nacl from 'tweetnacl';

export const keyBytes = 32;
export const signatureBytes = 64;

export interface SigningKey {
  readonly publicKey: Uint8Array;
  /** tweetnacl's form: seed, then public key. */
  readonly secretKey: Uint8Array;
}

export interface AgreementKey {
  readonly publicKey: Uint8Array;
  readonly secretKey: Uint8Array;
}

/** The Ed25519 pair of a 32-byte seed. */
export function signingKeyFromSeed(seed: Uint8Array): SigningKey {
  return nacl.sign.keyPair.fromSeed(seed);
}

/** The X25519 pair of a 32-byte seed. */
export function agreementKeyFromSeed(seed: Uint8Array): AgreementKey {
  return nacl.box.keyPair.fromSecretKey(seed);
}
