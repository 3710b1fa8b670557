/**
 * Packing and unpacking of one block. Deflate with run lengths only (zlib's Z_RLE): the planes are zeros in a row, or noise
 * of which only the distribution can be used; searching them for repeats costs ten times the time for nothing.
 */
import { constants, deflateRawSync, inflateRaw } from 'node:zlib';

import { blockForms, encodeFrame, invalid, type BlockForm } from './format.js';
import { joinBytes, joinDifference, splitBytes, splitDifference } from './words.js';

/** Below this share of the block a difference is good enough not to try without the base. */
const goodShare = 0.8;

const options = { level: 1, strategy: constants.Z_RLE } as const;

/** The smallest form of a block, with its frame in front. For a worker: it computes for some 10 ms. */
export function packBlock(target: Uint8Array, base: Uint8Array): Uint8Array {
  const difference = deflateRawSync(splitDifference(target, base), options);
  let packed: { form: BlockForm; bytes: Uint8Array } = { form: blockForms.difference, bytes: difference };
  if (difference.length > goodShare * target.length) {
    const bytes = deflateRawSync(splitBytes(target), options);
    if (bytes.length < difference.length) packed = { form: blockForms.bytes, bytes };
  }
  if (packed.bytes.length >= target.length) packed = { form: blockForms.stored, bytes: target };
  const frame = encodeFrame(packed.form, packed.bytes.length);
  const block = new Uint8Array(frame.length + packed.bytes.length);
  block.set(frame);
  block.set(packed.bytes, frame.length);
  return block;
}

/** The bytes of the target. Throws DELTA_INVALID where other than `base.length` bytes come out. */
export async function unpackBlock(form: BlockForm, packed: Uint8Array, base: Uint8Array): Promise<Uint8Array> {
  if (form === blockForms.stored) return packed;
  const planes = await inflated(packed, base.length);
  return form === blockForms.bytes ? joinBytes(planes) : joinDifference(planes, base);
}

/** Exactly `length` bytes; never allocates more, whatever the packed bytes stand for. */
async function inflated(packed: Uint8Array, length: number): Promise<Uint8Array> {
  const planes = await new Promise<Uint8Array>((resolve, reject) => {
    inflateRaw(packed, { maxOutputLength: length }, (error, bytes) => {
      if (error === null) resolve(bytes);
      else reject(invalid(`has a block that does not unpack to ${length} bytes: ${error.message}`, error));
    });
  });
  if (planes.length !== length) throw invalid(`has a block of ${planes.length} bytes, it must have ${length}`);
  return planes;
}
