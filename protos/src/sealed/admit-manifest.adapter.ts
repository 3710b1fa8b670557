/**
 * The first gate of an update: are these bytes a manifest, and did the agent that is connected sign it.
 * Answers with a verdict's reason as a value; nothing that an agent sends throws. Whether it is what the round asked for
 * is the coordinator's to judge.
 */
import { limits } from '@graft/core/limits';
import { verifyUpdate } from '../identity/signatures.adapter.js';
import { decodeUpdateManifest } from '../message-codec.adapter.js';
import type { ReportUpdateRequest, UpdateManifest } from '../messages.js';

export type ManifestRefusal = 'bad-signature' | 'bad-envelope' | 'size';

export type ManifestAdmission =
  | { readonly admitted: true; readonly manifest: UpdateManifest }
  | { readonly admitted: false; readonly reason: ManifestRefusal; readonly message: string };

/** The manifest of a report, if `signingKey` signed it and it names the agent that is connected. */
export function readManifest(
  report: ReportUpdateRequest,
  agent: { readonly agentId: string; readonly signingKey: Uint8Array },
): ManifestAdmission {
  const { byteLength } = report.manifest;
  if (byteLength > limits.manifestBytes) {
    return refused('size', `the manifest has ${byteLength} bytes, the limit is ${limits.manifestBytes}`);
  }
  if (!verifyUpdate(agent.signingKey, report.manifest, report.signature)) {
    return refused('bad-signature', 'the manifest is not signed by the key that this agent enrolled');
  }
  const manifest = decoded(report.manifest);
  if (manifest === undefined) return refused('bad-envelope', `${byteLength} signed bytes are not a manifest`);
  if (manifest.agentId !== agent.agentId) {
    return refused('bad-signature', `the manifest names agent ${manifest.agentId}, the connection ${agent.agentId}`);
  }
  return { admitted: true, manifest };
}

function decoded(bytes: Uint8Array): UpdateManifest | undefined {
  try {
    return decodeUpdateManifest(bytes);
  } catch {
    return undefined;
  }
}

function refused(reason: ManifestRefusal, message: string): ManifestAdmission {
  return { admitted: false, reason, message };
}
