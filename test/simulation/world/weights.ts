/**
 * Weights that tell who is in them. Agent i's delta is 16^i, so that a digit of a sum, in base 16, is how often the agent
 * was counted; a checkpoint holds one sum for each round since the run began. Blobs are addressed by what they hold.
 */
import { createHash } from 'node:crypto';

import type { BlobRef } from '../../../models/src/pipeline/pipeline.js';
import { ciphertextBytes } from '../../../protos/src/sealed/envelope.js';
import type { Poison } from '../input.js';

/** A delta on its way: whose, of which round, and from which base it was trained. */
export interface SealedDelta {
  readonly kind: 'delta';
  readonly agent: number;
  readonly runId: string;
  readonly round: number;
  readonly baseHash: string;
  readonly nonce: string;
  readonly poison?: Poison;
}

export interface Weights {
  readonly kind: 'weights';
  readonly encoding: 'fp32' | 'fp16';
  /** The sum of each round, the first round first, and the nonces of the updates in it. */
  readonly sums: readonly number[];
  readonly nonces: readonly (readonly string[])[];
}

type Content = SealedDelta | Weights | { readonly kind: 'other'; readonly name: string };

export const parameterCount = 1000;
export const layoutHash = '1'.repeat(64);

export const deltaOf = (agent: number): number => 16 ** agent;

/** How often each agent is in a sum. */
export function countsIn(sum: number): number[] {
  const counts: number[] = [];
  for (let rest = sum; rest > 0; rest = Math.floor(rest / 16)) counts.push(rest % 16);
  return counts;
}

export interface VirtualBlobs {
  /** What a blob would be called, without storing it. */
  refOf(content: Content): BlobRef;
  store(content: Content): BlobRef;
  sizeOf(hash: string): number | undefined;
  /** Throws where no such weights are stored. */
  weights(hash: string): Weights;
  delta(hash: string): SealedDelta;
}

export function virtualBlobs(): VirtualBlobs {
  const blobs = new Map<string, { content: Content; sizeBytes: number }>();
  const refOf = (content: Content): BlobRef => ({
    hash: createHash('sha256').update(JSON.stringify(content)).digest('hex'),
    sizeBytes: content.kind === 'delta' ? ciphertextBytes(4 * parameterCount) : 4 * parameterCount,
  });
  const read = (hash: string): Content => {
    const blob = blobs.get(hash);
    if (blob === undefined) throw new Error(`no blob ${hash.slice(0, 12)} is stored`);
    return blob.content;
  };
  return {
    refOf,
    store: (content) => {
      const ref = refOf(content);
      blobs.set(ref.hash, { content, sizeBytes: ref.sizeBytes });
      return ref;
    },
    sizeOf: (hash) => blobs.get(hash)?.sizeBytes,
    weights: (hash) => {
      const content = read(hash);
      if (content.kind !== 'weights') throw new Error(`blob ${hash.slice(0, 12)} holds no weights`);
      return content;
    },
    delta: (hash) => {
      const content = read(hash);
      if (content.kind !== 'delta') throw new Error(`blob ${hash.slice(0, 12)} holds no delta`);
      return content;
    },
  };
}
