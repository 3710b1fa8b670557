/** Makes the delta between two blobs, for a worker: reads and packs a MiB at a time, so that memory stays small. */
import { createHash, randomBytes } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { limits } from '@graft/core/limits';
import type { BlobRef } from '@graft/models/pipeline/pipeline';
import { readUpTo } from '@graft/protos/delta/apply.adapter';
import { packBlock } from '@graft/protos/delta/blocks.adapter';
import { blockLength, encodeHeader } from '@graft/protos/delta/format';

import type { BlobStore } from '../blobs/blob-store.js';

export interface MakeDelta {
  /** Both have the same size. */
  readonly from: BlobRef;
  readonly to: BlobRef;
}

/** The delta as a stored blob, or none where the whole is hardly larger. */
export type MadeDelta = { readonly delta: BlobRef } | { readonly none: string };

/** A delta that saves less than a tenth is not worth the work at both ends. */
const worthwhileShare = 0.9;

/** @param scratch a folder for the file while it is made */
export async function makeDelta(
  { from, to }: MakeDelta,
  blobs: Pick<BlobStore, 'path' | 'has' | 'partial' | 'appendChunk' | 'finish'>,
  scratch: string,
): Promise<MadeDelta> {
  const file = join(scratch, `delta.${randomBytes(6).toString('hex')}`);
  try {
    const made = await writeDelta({ from, to }, blobs.path, file);
    if (made.sizeBytes > worthwhileShare * to.sizeBytes) {
      return { none: `the delta has ${made.sizeBytes} bytes, the whole ${to.sizeBytes}` };
    }
    await storeFile(file, made, blobs);
    return { delta: made };
  } finally {
    await rm(file, { force: true });
  }
}

async function writeDelta({ from, to }: MakeDelta, path: (hash: string) => string, file: string): Promise<BlobRef> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  const [base, target, out] = [await open(path(from.hash)), await open(path(to.hash)), await open(file, 'wx', 0o600)];
  try {
    const write = async (bytes: Uint8Array): Promise<void> => {
      hash.update(bytes);
      sizeBytes += bytes.byteLength;
      await out.writeFile(bytes);
    };
    await write(encodeHeader({ sizeBytes: to.sizeBytes, from: from.hash, to: to.hash }));
    for (let index = 0, start = 0; start < to.sizeBytes; index++) {
      const length = blockLength(to.sizeBytes, index);
      await write(packBlock(await readUpTo(target, length, start), await readUpTo(base, length, start)));
      start += length;
    }
  } finally {
    await Promise.all([base.close(), target.close(), out.close()]);
  }
  return { hash: hash.digest('hex'), sizeBytes };
}

/** Into the store by chunks; what a worker that was killed has stored already stays. */
async function storeFile(
  file: string,
  { hash, sizeBytes }: BlobRef,
  blobs: Pick<BlobStore, 'has' | 'partial' | 'appendChunk' | 'finish'>,
): Promise<void> {
  if ((await blobs.has(hash)) !== undefined) return;
  const source = await open(file);
  try {
    for (let index = await blobs.partial(hash); index * limits.chunkBytes < sizeBytes; index++) {
      const start = index * limits.chunkBytes;
      const length = Math.min(limits.chunkBytes, sizeBytes - start);
      await blobs.appendChunk(hash, index, await readUpTo(source, length, start));
    }
  } finally {
    await source.close();
  }
  await blobs.finish(hash, sizeBytes);
}
