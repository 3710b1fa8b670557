/** Secrets that are shown once and kept as a hash: enrolment tokens and API keys. */
import { createHash, randomBytes } from 'node:crypto';

/** 160 random bits, so that a plain SHA-256 is a sufficient hash: there is nothing to guess from a list. */
const secretBytes = 20;

/** A new secret, its kind readable in front: `graft_enrol_...`, `graft_key_...`. */
export function newSecret(kind: 'enrol' | 'key'): string {
  return `graft_${kind}_${randomBytes(secretBytes).toString('base64url')}`;
}

/** What is stored in place of a secret, hex. */
export function hashSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}
