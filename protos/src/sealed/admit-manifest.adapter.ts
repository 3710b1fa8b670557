/**
 * The first gate of an update: who signed the manifest, and is it what the round asked this agent for.
 * Answers with a verdict's reason as a value; nothing that an agent sends throws.
 */
import { limits } from '@graft/core/limits';
import { verifyUpdate } from '../identity/signatures.js';
import { decodeUpdateManifest } from '../message-codec.adapter.js';
import type { ReportUpdateRequest, UpdateManifest } from '../messages.js';
import { plaintextBytesOf, type SealContext } from './envelope.js';

export type ManifestRefusal = 'bad-signature' | 'bad-envelope' | 'unknown-round' | 'stale-base' | 'bad-layout' | 'size';

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

/** Whether a manifest belongs to the round that is open: task, run, round, base, layout and a possible size. */
export function matchManifest(manifest: UpdateManifest, expected: Omit<SealContext, 'agentId'>): ManifestAdmission {
  const { taskId, runId, round, baseHash, layoutHash, ciphertext } = manifest;
  if (taskId !== expected.taskId || runId !== expected.runId || round !== expected.round) {
    return refused(
      'unknown-round',
      `round ${round} of run ${runId}, task ${taskId}, is not round ${expected.round} of run ${expected.runId}`,
    );
  }
  if (baseHash !== expected.baseHash) {
    return refused('stale-base', `trained from base ${baseHash}, the round's base is ${expected.baseHash}`);
  }
  if (layoutHash !== expected.layoutHash) {
    return refused('bad-layout', `the delta has layout ${layoutHash}, the round's is ${expected.layoutHash}`);
  }
  if (ciphertext === null || plaintextBytesOf(ciphertext.sizeBytes) === undefined) {
    return refused('bad-envelope', `no envelope has ${ciphertext?.sizeBytes ?? 0} bytes`);
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
