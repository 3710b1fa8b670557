/** Sealed updates and a directory of blobs for specs: the agent's side of a round, without an agent. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { bytesOf, tensor } from '@graft/core/tensor';
import type { BlobRef } from '@graft/models/pipeline/pipeline';
import { signingKeyFromSeed, type SigningKey } from '@graft/protos/identity/keys';
import { signRoundKey } from '@graft/protos/identity/signatures.adapter';
import { encodeUpdateManifest } from '@graft/protos/message-codec.adapter';
import type { UpdateManifest } from '@graft/protos/messages';
import { createSealer, plaintextChunks } from '@graft/protos/sealed/seal.adapter';

import type { Blobs } from './aggregate.adapter.js';
import type { SealedUpdate } from './aggregation.js';

export const coordinatorIdentity: SigningKey = signingKeyFromSeed(new Uint8Array(32).fill(1));

/** Blobs as files named by their hash in a fresh temporary directory. */
export function blobDirectory(): Blobs & {
  readonly read: (hash: string) => Uint8Array;
  readonly store: (bytes: Uint8Array) => BlobRef;
} {
  const directory = mkdtempSync(join(tmpdir(), 'graft-blobs-'));
  const path = (hash: string): string => join(directory, hash);
  const refOf = (bytes: Uint8Array): BlobRef => ({
    hash: createHash('sha256').update(bytes).digest('hex'),
    sizeBytes: bytes.byteLength,
  });
  return {
    path,
    read: (hash) => readFileSync(path(hash)),
    store: (bytes) => {
      const ref = refOf(bytes);
      writeFileSync(path(ref.hash), bytes);
      return ref;
    },
    put: async (bytes) => {
      const ref = refOf(bytes);
      await writeFile(path(ref.hash), bytes);
      return ref;
    },
  };
}

export interface SealInput {
  readonly agentId: string;
  readonly delta: Float32Array;
  readonly exampleCount: number;
  readonly roundKey: Uint8Array;
  /** Made here where the plan's is not given. */
  readonly roundKeySignature?: Uint8Array;
  readonly context?: Partial<Pick<UpdateManifest, 'taskId' | 'runId' | 'round' | 'baseHash' | 'layoutHash'>>;
}

/** Seals a delta as an agent does, and hands its ciphertext to `store`. */
export function sealUpdate(
  { agentId, delta, exampleCount, roundKey, roundKeySignature, context }: SealInput,
  store: (bytes: Uint8Array) => BlobRef,
): SealedUpdate & { readonly decoded: UpdateManifest } {
  const bound = { taskId: 'task', runId: 'run', round: 1, baseHash: '0', layoutHash: '1', ...context, agentId };
  const bytes = bytesOf(tensor('float32', [delta.length], delta));
  const sealer = createSealer({
    context: bound,
    plaintextBytes: bytes.byteLength,
    roundKey,
    roundKeySignature:
      roundKeySignature ?? signRoundKey(coordinatorIdentity, { runId: bound.runId, round: bound.round, roundKey }),
    identityKey: coordinatorIdentity.publicKey,
  });
  const chunks = [...plaintextChunks(bytes)].map((chunk) => sealer.seal(chunk));
  const fields = sealer.finish();
  const ciphertext = store(Buffer.concat(chunks));
  const training = {
    loss: 0.5,
    initialLoss: 1,
    steps: 1,
    epochs: 1,
    trainMs: 1,
    featureMs: 1,
    trunkRanges: [],
    tailRanges: [],
  };
  const decoded: UpdateManifest = { ...bound, ...fields, exampleCount, parameterCount: delta.length, training };
  return { agentId, manifest: encodeUpdateManifest(decoded), ciphertext, exampleCount, decoded };
}
