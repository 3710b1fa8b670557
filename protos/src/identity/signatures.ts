/**
 * What is signed in this protocol, and by whom. Each message begins with a domain of its own and a zero byte, so that a
 * signature for one purpose is none for another. What every round signs is signed and checked by signatures.adapter.ts.
 */
import nacl from 'tweetnacl';
import { keyBytes, signatureBytes, type SigningKey } from './keys.js';

const domains = {
  enrolment: 'graft/v1/enrol',
  roundKey: 'graft/v1/round-key',
  update: 'graft/v1/update',
  release: 'graft/v1/release',
} as const;

type Domain = keyof typeof domains;

/** What an agent proves when it joins: that it holds the signing key, and which CSR and agreement key go with it. */
export interface EnrolmentClaim {
  readonly token: string;
  readonly csr: Uint8Array;
  readonly agreementKey: Uint8Array;
}

/** The agreement key that updates of one round are sealed to. */
export interface RoundKeyClaim {
  readonly runId: string;
  readonly round: number;
  readonly roundKey: Uint8Array;
}

/** By the agent, when it enrols. */
export function signEnrolment(key: SigningKey, claim: EnrolmentClaim): Uint8Array {
  return sign(key, enrolmentMessage(claim));
}

export function verifyEnrolment(signingKey: Uint8Array, claim: EnrolmentClaim, proof: Uint8Array): boolean {
  const unambiguous = !claim.token.includes('\0') && claim.agreementKey.byteLength === keyBytes;
  return unambiguous && verify(signingKey, enrolmentMessage(claim), proof);
}

function enrolmentMessage({ token, csr, agreementKey }: EnrolmentClaim): Uint8Array {
  return message('enrolment', text(token), zero, csr, agreementKey);
}

/** By the agent's signing key, over the manifest's very bytes. */
export function updateMessage(manifest: Uint8Array): Uint8Array {
  return message('update', manifest);
}

/** By the coordinator's identity key, over the release manifest's very bytes. */
export function releaseMessage(manifest: Uint8Array): Uint8Array {
  return message('release', manifest);
}

/** By the coordinator's identity key, for every plan. Undefined where the parts could be read in another way. */
export function roundKeyMessage({ runId, round, roundKey }: RoundKeyClaim): Uint8Array | undefined {
  if (runId.includes('\0') || roundKey.byteLength !== keyBytes) return undefined;
  const roundBytes = new Uint8Array(4);
  new DataView(roundBytes.buffer).setUint32(0, round);
  return message('roundKey', text(runId), zero, roundBytes, roundKey);
}

const zero = new Uint8Array(1);

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

function message(domain: Domain, ...parts: readonly Uint8Array[]): Uint8Array {
  const all = [text(domains[domain]), zero, ...parts];
  const bytes = new Uint8Array(all.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of all) {
    bytes.set(part, at);
    at += part.byteLength;
  }
  return bytes;
}

function sign(key: SigningKey, bytes: Uint8Array): Uint8Array {
  return nacl.sign.detached(bytes, key.secretKey);
}

function verify(publicKey: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.byteLength !== keyBytes || signature.byteLength !== signatureBytes) return false;
  return nacl.sign.detached.verify(bytes, signature, publicKey);
}
