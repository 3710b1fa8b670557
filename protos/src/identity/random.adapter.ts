/** Randomness for keys and nonces, from the operating system by tweetnacl. */
import nacl from 'tweetnacl';
import { agreementKeyFromSeed, keyBytes, type AgreementKey } from './keys.js';

/** 32 secret bytes to make a key from. */
export function randomSeed(): Uint8Array {
  return nacl.randomBytes(keyBytes);
}

/** The key pair of one round; the coordinator keeps its secret until the round has closed. */
export function createRoundKey(): AgreementKey {
  return agreementKeyFromSeed(randomSeed());
}
