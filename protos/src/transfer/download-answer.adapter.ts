/** What the initial metadata of a Download say where the agent named bases: the whole, or a delta to one of them, and from which chunk. */
import type { Metadata } from '@grpc/grpc-js';

import { GraftError } from '@graft/core/error';

import type { BlobRef } from '../messages.js';

/** Names of the metadata; those of the delta are absent where the whole comes. */
export const deltaMetadata = {
  firstChunk: 'graft-first-chunk',
  from: 'graft-delta-from',
  hash: 'graft-delta',
  size: 'graft-delta-size',
} as const;

export interface DownloadAnswer {
  readonly firstChunk: number;
  readonly delta?: { readonly from: string; readonly blob: BlobRef };
}

/**
 * What a coordinator said; undefined where it said nothing, as one that knows no deltas: then the whole comes, from the chunk
 * that was asked for. Throws TRANSFER_CORRUPT for what is neither.
 */
export function readDownloadAnswer(metadata: Metadata): DownloadAnswer | undefined {
  const field = (name: string): string | undefined => metadata.get(name)[0]?.toString();
  const first = field(deltaMetadata.firstChunk);
  if (first === undefined) return undefined;
  const firstChunk = wholeNumber(first);
  const from = field(deltaMetadata.from);
  if (from === undefined) return { firstChunk };
  const hash = field(deltaMetadata.hash) ?? '';
  if (!/^[0-9a-f]{64}$/u.test(hash) || !/^[0-9a-f]{64}$/u.test(from)) {
    throw new GraftError(
      'TRANSFER_CORRUPT',
      `the coordinator names a delta '${hash.slice(0, 80)}' to '${from.slice(0, 80)}'`,
    );
  }
  return { firstChunk, delta: { from, blob: { hash, sizeBytes: wholeNumber(field(deltaMetadata.size) ?? '') } } };
}

function wholeNumber(text: string): number {
  if (/^\d{1,15}$/u.test(text)) return Number(text);
  throw new GraftError('TRANSFER_CORRUPT', `the coordinator says '${text.slice(0, 40)}' where a whole number belongs`);
}
