/**
 * Signatures without their arithmetic, which would take most of the time of a simulation: a hash of the bytes and of who
 * signed them. What is decided by a signature is decided in the same way; Ed25519 has specs of its own.
 */
import { createHash } from 'node:crypto';

import { decodeUpdateManifest } from '../../../protos/src/message-codec.adapter.js';
import type { UpdateManifest } from '../../../protos/src/messages.js';
import type { readManifest } from '../../../protos/src/sealed/admit-manifest.adapter.js';

export function signVirtually(agentId: string, manifest: Uint8Array): Uint8Array {
  return createHash('sha512').update(agentId).update('\0').update(manifest).digest();
}

export const readVirtually: typeof readManifest = ({ manifest: bytes, signature }, { agentId }) => {
  const message = 'the manifest is not signed by the key that this agent enrolled';
  if (Buffer.compare(signVirtually(agentId, bytes), signature) !== 0) {
    return { admitted: false, reason: 'bad-signature', message };
  }
  const manifest: UpdateManifest = decodeUpdateManifest(bytes);
  return manifest.agentId === agentId
    ? { admitted: true, manifest }
    : { admitted: false, reason: 'bad-signature', message };
};
