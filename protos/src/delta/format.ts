/**
 * The file of a delta, docs/protocol.md 'Deltas': a header, then a block for each MiB of the target. A reader knows before it
 * unpacks a block how many bytes must come out, and that the packed form is smaller, so that no length in the file can
 * make it allocate more.
 */
import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';

/** How the bytes of a block stand for those of the target. */
export const blockForms = {
  /** As they are. */
  stored: 0,
  /** `splitBytes` of the target, deflated. */
  bytes: 1,
  /** `splitDifference` of target and base, deflated. */
  difference: 2,
} as const;

export type BlockForm = (typeof blockForms)[keyof typeof blockForms];

/** What a delta is between: files of the same size. */
export interface DeltaHeader {
  readonly sizeBytes: number;
  /** sha256 of base and target, lower-case hex. */
  readonly from: string;
  readonly to: string;
}

const magic = new TextEncoder().encode('GRAFTDLT');
const version = 1;
const hashBytes = 32;

export const blockBytes = limits.chunkBytes;
export const headerBytes = magic.length + 4 + 8 + 2 * hashBytes;
export const frameBytes = 5;

export function encodeHeader({ sizeBytes, from, to }: DeltaHeader): Uint8Array {
  const bytes = new Uint8Array(headerBytes);
  bytes.set(magic);
  const view = new DataView(bytes.buffer);
  view.setUint32(magic.length, version);
  view.setBigUint64(magic.length + 4, BigInt(sizeBytes));
  bytes.set(fromHex(from), headerBytes - 2 * hashBytes);
  bytes.set(fromHex(to), headerBytes - hashBytes);
  return bytes;
}

/** Throws DELTA_INVALID where `bytes` are not the header of a delta between `expected`. */
export function checkHeader(bytes: Uint8Array, expected: DeltaHeader): void {
  const wanted = encodeHeader(expected);
  if (bytes.length !== wanted.length) throw invalid(`ends within its header, after ${bytes.length} bytes`);
  const at = wanted.findIndex((value, index) => value !== bytes[index]);
  if (at < 0) return;
  if (at < magic.length) throw invalid('is none: another file type');
  if (at < magic.length + 4) throw invalid(`is of another version than ${version}`);
  if (at < headerBytes - 2 * hashBytes) throw invalid(`is not of files of ${expected.sizeBytes} bytes`);
  if (at < headerBytes - hashBytes) throw invalid(`has another base than ${expected.from}`);
  throw invalid(`does not make ${expected.to}`);
}

/** Bytes of the target in block `index`; 0 past the end. */
export function blockLength(sizeBytes: number, index: number): number {
  return Math.max(0, Math.min(blockBytes, sizeBytes - index * blockBytes));
}

export function encodeFrame(form: BlockForm, packedBytes: number): Uint8Array {
  const bytes = new Uint8Array(frameBytes);
  bytes[0] = form;
  new DataView(bytes.buffer).setUint32(1, packedBytes);
  return bytes;
}

/** What a frame says of the block behind it, of which `length` bytes must come out. Throws DELTA_INVALID. */
export function readFrame(
  frame: Uint8Array,
  length: number,
): { readonly form: BlockForm; readonly packedBytes: number } {
  if (frame.length !== frameBytes) throw invalid('ends within a frame');
  const form = frame[0];
  const packedBytes = new DataView(frame.buffer, frame.byteOffset).getUint32(1);
  if (form !== blockForms.stored && form !== blockForms.bytes && form !== blockForms.difference) {
    throw invalid(`has a block of form ${form}`);
  }
  const fits = form === blockForms.stored ? packedBytes === length : packedBytes < length;
  if (!fits) throw invalid(`has a block of form ${form} with ${packedBytes} bytes for ${length}`);
  return { form, packedBytes };
}

export function invalid(why: string, cause?: unknown): GraftError {
  return new GraftError('DELTA_INVALID', `the delta ${why}`, { cause });
}

function fromHex(hex: string): Uint8Array {
  return Uint8Array.from({ length: hashBytes }, (_, index) => Number.parseInt(hex.slice(2 * index, 2 * index + 2), 16));
}
